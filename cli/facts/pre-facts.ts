import type { PreFacts } from '../checks/facts.ts'
import { AGENT_NAMESPACE, SYSTEM_NAMESPACE } from '../installation/names.ts'
import type { Cluster } from '../kubernetes/cluster.ts'
import { attempt } from './attempt.ts'
import {
  clusterTrustBundles,
  crds,
  csiDriver,
  namespaces,
  nodes,
  serverVersion,
  storageClasses,
} from './cluster-facts.ts'
import { inlineVolumeRefusal } from './inline-volume.ts'
import { installRights } from './rights.ts'

/** All that `countersign check --pre` judges. */
export async function gatherPreFacts(cluster: Cluster, namespace: string): Promise<PreFacts> {
  const [version, rights, nodesRead, inlineVolume, csiDriverRead, crdsRead, namespacesRead, classes, bundles] =
    await Promise.all([
      attempt(() => serverVersion(cluster)),
      attempt(() => installRights(cluster)),
      attempt(() => nodes(cluster)),
      attempt(() => inlineVolumeRefusal(cluster, namespace)),
      attempt(() => csiDriver(cluster)),
      attempt(() => crds(cluster)),
      attempt(() => namespaces(cluster, [SYSTEM_NAMESPACE, AGENT_NAMESPACE])),
      attempt(() => storageClasses(cluster)),
      attempt(() => clusterTrustBundles(cluster)),
    ])
  return {
    version,
    rights,
    nodes: nodesRead,
    inlineVolume,
    csiDriver: csiDriverRead,
    crds: crdsRead,
    namespaces: namespacesRead,
    storageClasses: classes,
    clusterTrustBundles: bundles,
  }
}
