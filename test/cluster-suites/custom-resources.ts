import { globSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { waitFor } from '../cluster/base/wait.ts'
import type { Cluster } from '../cluster/cluster.ts'

interface Spec {
  readonly group: string
  readonly versions: readonly { readonly name: string; readonly served: boolean }[]
}

/** Installs the CustomResourceDefinitions as the chart has them. @returns what removes them, with all objects. */
export async function installDefinitions(cluster: Cluster): Promise<() => Promise<void>> {
  const files = globSync('deploy/chart/files/crds/*.yaml')
  for (const file of files) await cluster.apply(readFileSync(file, 'utf8'))
  const names = files.map((file) => basename(file, '.yaml'))
  await cluster.kubectl(['wait', '--for=condition=Established', '--timeout=30s', ...names.map((name) => `crd/${name}`)])
  return async () => {
    for (const name of names) await removeDefinition(cluster, name)
  }
}

/**
 * Removes a definition with all of its objects, if it is there. They are listed before: where nobody ever has, the API
 * server's finalizer finds the storage in the making, and as it tries again meets its own change of the status. Then it
 * waits for a change that never comes, minutes long (kube-apiserver 1.37, "storage is (re)initializing").
 */
export async function removeDefinition(cluster: Cluster, name: string): Promise<void> {
  const definition = await cluster.tryKubectl(['get', `crd/${name}`, '--output', 'json'])
  if (definition.code === 0) {
    const { spec } = JSON.parse(definition.stdout) as { spec: Spec }
    for (const version of spec.versions.filter(({ served }) => served)) {
      const path = `/apis/${spec.group}/${version.name}/${name.slice(0, name.indexOf('.'))}`
      await waitFor(`${path} to be listed`, async () => (await cluster.tryKubectl(['get', '--raw', path])).code === 0)
    }
  }
  await cluster.kubectl(['delete', '--ignore-not-found', '--timeout=50s', `crd/${name}`])
}
