import { Cluster } from './cluster.ts'
import { isInUse, readState } from './machine/state.ts'

/** The cluster that is up on this machine. */
export async function attachCluster(): Promise<Cluster> {
  const cluster = await findCluster()
  if (!cluster) throw new Error('no test cluster is up: start one by `npm run cluster -- up`')
  return cluster
}

export async function findCluster(): Promise<Cluster | undefined> {
  const state = await readState()
  return state && (await isInUse(state)) ? new Cluster(state) : undefined
}
