import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import type { Cluster } from '../cluster/cluster.ts'
import { AGENT, CSI_DRIVER } from './agent-process.ts'
import { REPOSITORY } from './broker-process.ts'

/** Marks what an installation by processes has made, and may remove. */
const MADE_BY = { 'countersign.dev/made-by': 'cluster-install' }
const SELECTOR = Object.entries(MADE_BY).flat().join('=')

interface KubernetesObject {
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: Record<string, string> }
}

/** Applies what a user applies by hand, from the same files. */
export async function applyObjects(cluster: Cluster): Promise<void> {
  for (const file of ['service-accounts.yaml', 'csi-driver.yaml']) {
    const text = await readFile(join(REPOSITORY, 'deploy', 'examples', file), 'utf8')
    for (const document of parseAllDocuments(text)) {
      const object = document.toJS() as KubernetesObject
      // What was there before stays when we go; the driver works for nobody else once it is ours.
      const labels = object.kind === 'CSIDriver' || !(await isOfOthers(cluster, object)) ? MADE_BY : {}
      const metadata = { ...object.metadata, labels: { ...object.metadata.labels, ...labels } }
      await cluster.apply({ ...object, metadata })
    }
  }
}

async function isOfOthers(cluster: Cluster, object: KubernetesObject): Promise<boolean> {
  const get = ['get', '-f', '-', '--ignore-not-found', '-o', 'jsonpath={.items[*].metadata}']
  const metadata = await cluster.kubectl(get, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [object] }))
  return metadata !== '' && !isOurs({ metadata: JSON.parse(metadata) as KubernetesObject['metadata'] })
}

function isOurs({ metadata }: Pick<KubernetesObject, 'metadata'>): boolean {
  return Object.entries(MADE_BY).every(([name, value]) => metadata.labels?.[name] === value)
}

/** What tells that Countersign is installed by others, as `Kind name`. */
export async function objectsOfOthers(cluster: Cluster): Promise<string[]> {
  const get = async (...args: string[]) => {
    const text = await cluster.kubectl(['get', ...args, '-o', 'json'])
    return (JSON.parse(text) as { items: KubernetesObject[] }).items
  }
  const [drivers, workloads] = await Promise.all([
    get('csidrivers'),
    get('daemonsets,deployments', '--all-namespaces', '--selector=app.kubernetes.io/name=countersign'),
  ])
  return [...drivers.filter(({ metadata }) => metadata.name === CSI_DRIVER), ...workloads]
    .filter((object) => !isOurs(object))
    .map(
      ({ kind, metadata: { name, namespace } }) => `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`,
    )
}

/** Removes what {@link applyObjects} made, with the agents' pods. @returns whether there was any of it. */
export async function removeObjects(cluster: Cluster): Promise<boolean> {
  const { namespace } = AGENT
  const selector = `--selector=${SELECTOR}`
  const made = ['csidrivers,namespaces', selector, '--output=name']
  const found = (await cluster.kubectl(['get', ...made])).trim().split('\n')
  if (found.join('') === '') return false
  await cluster.kubectl(['delete', 'csidrivers', selector])
  if (found.includes(`namespace/${namespace}`)) await cluster.deleteNamespace(namespace)
  else {
    const pods = cluster.nodes.map(({ name }) => `${AGENT.serviceAccount}-${name}`)
    await cluster.kubectl(['delete', 'pods', '--namespace', namespace, '--ignore-not-found', ...pods])
    await cluster.kubectl(['delete', 'serviceaccounts', '--namespace', namespace, selector])
  }
  return true
}
