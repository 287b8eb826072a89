import type { RightFact } from '../checks/facts.ts'
import { AGENT_NAMESPACE, SYSTEM_NAMESPACE } from '../installation/names.ts'
import type { Cluster } from '../kubernetes/cluster.ts'

/** What an installation makes, as [group, resource, namespace]. */
const MAKES: readonly (readonly [group: string, resource: string, namespace?: string])[] = [
  ['', 'namespaces'],
  ['storage.k8s.io', 'csidrivers'],
  ['apiextensions.k8s.io', 'customresourcedefinitions'],
  ['rbac.authorization.k8s.io', 'clusterroles'],
  ['rbac.authorization.k8s.io', 'clusterrolebindings'],
  ['scheduling.k8s.io', 'priorityclasses'],
  ['apps', 'deployments', SYSTEM_NAMESPACE],
  ['apps', 'daemonsets', AGENT_NAMESPACE],
  ['rbac.authorization.k8s.io', 'roles', SYSTEM_NAMESPACE],
  ['rbac.authorization.k8s.io', 'rolebindings', SYSTEM_NAMESPACE],
  ['rbac.authorization.k8s.io', 'roles', AGENT_NAMESPACE],
  ['rbac.authorization.k8s.io', 'rolebindings', AGENT_NAMESPACE],
  ['', 'serviceaccounts', SYSTEM_NAMESPACE],
  ['', 'serviceaccounts', AGENT_NAMESPACE],
  ['', 'services', SYSTEM_NAMESPACE],
  ['', 'configmaps', SYSTEM_NAMESPACE],
  ['', 'persistentvolumeclaims', SYSTEM_NAMESPACE],
  ['policy', 'poddisruptionbudgets', SYSTEM_NAMESPACE],
  ['networking.k8s.io', 'networkpolicies', SYSTEM_NAMESPACE],
]

/** Whether the caller may make each kind of object that an installation consists of. */
export async function installRights(cluster: Cluster): Promise<RightFact[]> {
  return Promise.all(
    MAKES.map(async ([group, resource, namespace]) => {
      const resourceAttributes = { verb: 'create', group, resource, ...(namespace !== undefined && { namespace }) }
      const { status } = await cluster.call('ask what you may', ({ authorization }) =>
        authorization.createSelfSubjectAccessReview({ body: { spec: { resourceAttributes } } }),
      )
      const where = namespace === undefined ? '' : ` in ${namespace}`
      return { rule: `create ${resource}${group && ` (${group})`}${where}`, allowed: status?.allowed === true }
    }),
  )
}
