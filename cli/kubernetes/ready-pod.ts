import { IdentityError } from '../../core/runtime/errors.ts'
import type { Cluster } from './cluster.ts'

/**
 * The name of a pod that is ready; else of one that runs, for a broker that is not ready can still say why.
 *
 * @throws {@link IdentityError} `broker_unavailable` if none runs.
 */
export async function readyPod(cluster: Cluster, namespace: string, labelSelector: string): Promise<string> {
  const { items } = await cluster.call(`list pods in namespace ${namespace}`, ({ core }) =>
    core.listNamespacedPod({ namespace, labelSelector, limit: 20 }),
  )
  const running = items.filter(({ status, metadata }) => status?.phase === 'Running' && !metadata?.deletionTimestamp)
  const ready = running.find(({ status }) =>
    status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True'),
  )
  const name = (ready ?? running[0])?.metadata?.name
  if (name !== undefined) return name
  throw new IdentityError(
    'broker_unavailable',
    items.length === 0
      ? `there is no broker in namespace ${namespace} (pods with ${labelSelector}); --broker reaches one elsewhere`
      : `no pod of the broker runs in namespace ${namespace}`,
  )
}
