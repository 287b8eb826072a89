import { Cluster } from './cluster.ts'
import { isInUse, readState } from './machine/state.ts'

/** The cluster that is up on this machine. */
export async function attachCluster(): Promise<Cluster> {
  const cluster = await findCluster()
  if (!cluster) throw new Error('no test cluster is up: start one by `npm run cluster -- up`')
  return cluster
}

/** Environment variable that a runner sets for what it starts: its cluster may be used, its turn is theirs. */
export const ON_TURN = 'COUNTERSIGN_CLUSTER_ON_TURN'

/** As {@link attachCluster}, if there is one; `detached`: only if it was started by hand, and stays until it is told to go. */
export async function findCluster(kind: 'any' | 'detached' = 'any'): Promise<Cluster | undefined> {
  const state = await readState()
  if (!state || !(await isInUse(state))) return undefined
  return kind === 'any' || state.owner === null ? new Cluster(state) : undefined
}
