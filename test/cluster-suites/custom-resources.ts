import { globSync, readFileSync } from 'node:fs'
import type { Cluster } from '../cluster/cluster.ts'

/** Installs the CustomResourceDefinitions as the chart has them. @returns what removes them, with all objects. */
export async function installDefinitions(cluster: Cluster): Promise<() => Promise<void>> {
  const files = globSync('deploy/chart/files/crds/*.yaml')
  for (const file of files) await cluster.apply(readFileSync(file, 'utf8'))
  const names = files.map((file) => `crd/${/([^/]+)\.yaml$/.exec(file)?.[1]}`)
  await cluster.kubectl(['wait', '--for=condition=Established', '--timeout=30s', ...names])
  return async () => {
    await cluster.kubectl(['delete', '--ignore-not-found', '--timeout=180s', ...names])
  }
}
