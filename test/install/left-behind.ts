import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Cluster } from '../cluster/cluster.ts'
import { CSI_DRIVER } from '../cluster-suites/agent-process.ts'
import { mountsOf } from './mounts.ts'

/** Kinds whose objects belong to no namespace, and that an installation makes some of. */
const CLUSTER_KINDS = [
  'csidrivers',
  'clusterroles',
  'clusterrolebindings',
  'priorityclasses',
  'flowschemas',
  'validatingwebhookconfigurations',
  'mutatingwebhookconfigurations',
  'validatingadmissionpolicies',
  'customresourcedefinitions',
  'clustertrustbundles',
]

/** What of an installation is still there: mounts and sockets of the nodes, objects of the cluster, by name. */
export async function leftBehind(cluster: Cluster): Promise<string[]> {
  const sockets = cluster.nodes.flatMap((node) =>
    [join(node.pluginsRegistryDir, `${CSI_DRIVER}-reg.sock`)]
      .filter((path) => existsSync(node.insidePath(path)))
      .map((path) => `${node.name}:${path}`),
  )
  return [...(await mountsOf(cluster)).keys(), ...sockets, ...(await objectsOf(cluster))]
}

async function objectsOf(cluster: Cluster): Promise<string[]> {
  const args = ['get', CLUSTER_KINDS.join(','), '--ignore-not-found', '--output=name']
  const names = (await cluster.kubectl(args)).split('\n')
  return names.filter((name) => name.includes('countersign'))
}
