import type { V1CSIDriver, V1CustomResourceDefinition, V1Node, V1StorageClass } from '@kubernetes/client-node'
import type {
  CrdFact,
  CsiDriverFact,
  CsiNodeFact,
  NamespaceFact,
  NodeFact,
  ServerVersion,
  StorageClassFact,
  WorkloadFact,
} from '../checks/facts.ts'
import { type PodFact, podFact } from '../checks/pod-fact.ts'
import { API_GROUP, CSI_DRIVER, DEFINITION_ANNOTATION } from '../installation/names.ts'
import type { Cluster } from '../kubernetes/cluster.ts'
import { everyPage } from '../kubernetes/every-page.ts'

/** The version of the API server: what shows that it can be reached at all. */
export async function serverVersion(cluster: Cluster): Promise<ServerVersion> {
  const { gitVersion, major, minor } = await cluster.call('get its version', ({ version }) => version.getCode())
  // Some vendors write `34+`.
  return { text: gitVersion, major: Number.parseInt(major, 10), minor: Number.parseInt(minor, 10) }
}

export async function nodes(cluster: Cluster): Promise<NodeFact[]> {
  const all = await cluster.call('list nodes', ({ core }) => everyPage((page) => core.listNode(page)))
  return all.map(nodeFact)
}

export async function csiDriver(cluster: Cluster): Promise<CsiDriverFact | undefined> {
  const driver = await cluster.find(`get csidrivers ${CSI_DRIVER}`, ({ storage }) =>
    storage.readCSIDriver({ name: CSI_DRIVER }),
  )
  return driver && csiDriverFact(driver)
}

/** The definitions of our API group. */
export async function crds(cluster: Cluster): Promise<CrdFact[]> {
  const all = await cluster.call('list customresourcedefinitions', ({ extensions }) =>
    everyPage((page) => extensions.listCustomResourceDefinition(page)),
  )
  return all.filter(({ spec }) => spec.group === API_GROUP).map(crdFact)
}

/** Those of these names that exist. */
export async function namespaces(cluster: Cluster, names: readonly string[]): Promise<NamespaceFact[]> {
  const found = await Promise.all(
    names.map((name) => cluster.find(`get namespaces ${name}`, ({ core }) => core.readNamespace({ name }))),
  )
  return found.flatMap((namespace) =>
    namespace?.metadata?.name === undefined
      ? []
      : [{ name: namespace.metadata.name, labels: namespace.metadata.labels ?? {} }],
  )
}

export async function csiNodes(cluster: Cluster): Promise<CsiNodeFact[]> {
  const all = await cluster.call('list csinodes', ({ storage }) => everyPage((page) => storage.listCSINode(page)))
  return all.map(({ metadata, spec }) => ({
    node: metadata?.name ?? '',
    drivers: (spec.drivers ?? []).map(({ name }) => name),
  }))
}

export async function storageClasses(cluster: Cluster): Promise<StorageClassFact[]> {
  const all = await cluster.call('list storageclasses', ({ storage }) =>
    everyPage((page) => storage.listStorageClass(page)),
  )
  return all.map(storageClassFact)
}

/** The Deployment that the labels select; the first, if there are more. */
export async function deployment(
  cluster: Cluster,
  namespace: string,
  labelSelector: string,
): Promise<WorkloadFact | undefined> {
  const { items } = await cluster.call(`list deployments in namespace ${namespace}`, ({ apps }) =>
    apps.listNamespacedDeployment({ namespace, labelSelector, limit: 10 }),
  )
  const [found] = items
  return (
    found && {
      name: found.metadata?.name ?? '',
      desired: found.spec?.replicas ?? 1,
      ready: found.status?.readyReplicas ?? 0,
    }
  )
}

/** As {@link deployment}. */
export async function daemonSet(
  cluster: Cluster,
  namespace: string,
  labelSelector: string,
): Promise<WorkloadFact | undefined> {
  const { items } = await cluster.call(`list daemonsets in namespace ${namespace}`, ({ apps }) =>
    apps.listNamespacedDaemonSet({ namespace, labelSelector, limit: 10 }),
  )
  const [found] = items
  return (
    found && {
      name: found.metadata?.name ?? '',
      desired: found.status?.desiredNumberScheduled ?? 0,
      ready: found.status?.numberReady ?? 0,
    }
  )
}

export async function pods(cluster: Cluster, namespace: string, labelSelector: string): Promise<PodFact[]> {
  const all = await cluster.call(`list pods in namespace ${namespace}`, ({ core }) =>
    everyPage((page) => core.listNamespacedPod({ namespace, labelSelector, ...page })),
  )
  return all.map((pod) => podFact(pod, CSI_DRIVER))
}

/** Whether ClusterTrustBundles of v1 are served. */
export async function clusterTrustBundles(cluster: Cluster): Promise<boolean> {
  const found = await cluster.find('read certificates.k8s.io/v1', ({ certificates }) => certificates.getAPIResources())
  return found?.resources.some(({ name }) => name === 'clustertrustbundles') === true
}

export function nodeFact({ metadata, status }: V1Node): NodeFact {
  return {
    name: metadata?.name ?? '',
    kubelet: status?.nodeInfo?.kubeletVersion ?? '',
    operatingSystem: status?.nodeInfo?.operatingSystem ?? 'linux',
    isReady: status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true,
  }
}

function csiDriverFact({ metadata, spec }: V1CSIDriver): CsiDriverFact {
  return {
    labels: metadata?.labels ?? {},
    podInfoOnMount: spec.podInfoOnMount === true,
    requiresRepublish: spec.requiresRepublish === true,
    // The API server's default.
    attachRequired: spec.attachRequired !== false,
    volumeLifecycleModes: spec.volumeLifecycleModes ?? [],
    tokenAudiences: (spec.tokenRequests ?? []).map(({ audience }) => audience),
    tokenInSecrets: spec.serviceAccountTokenInSecrets === true,
  }
}

/** The second annotation is of old, and the API server still obeys it. */
const DEFAULT_CLASS = [
  'storageclass.kubernetes.io/is-default-class',
  'storageclass.beta.kubernetes.io/is-default-class',
] as const

function storageClassFact({ metadata }: V1StorageClass): StorageClassFact {
  return {
    name: metadata?.name ?? '',
    isDefault: DEFAULT_CLASS.some((annotation) => metadata?.annotations?.[annotation] === 'true'),
  }
}

function crdFact({ metadata, spec, status }: V1CustomResourceDefinition): CrdFact {
  return {
    name: metadata?.name ?? '',
    labels: metadata?.labels ?? {},
    digest: metadata?.annotations?.[DEFINITION_ANNOTATION],
    versions: spec.versions.filter(({ served }) => served).map(({ name }) => name),
    isEstablished: status?.conditions?.some(({ type, status }) => type === 'Established' && status === 'True') === true,
  }
}
