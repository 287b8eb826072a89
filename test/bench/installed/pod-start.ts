import type { Cluster } from '../../cluster/cluster.ts'
import { identityPod } from '../../cluster-suites/identity-pod.ts'
import { uptimeMs } from './cold-start.ts'

/** What the pod has: nothing, one volume that costs kubelet nothing to make, or one with its identity. */
export type PodVolume = 'none' | 'emptyDir' | 'identity'

/**
 * Makes a pod and deletes it.
 *
 * @returns milliseconds from the request that creates it to its container's first instruction
 */
export async function podStart(cluster: Cluster, namespace: string, name: string, volume: PodVolume): Promise<number> {
  // The status of a pod is told up to a second late; its clock is the machine's.
  const command = ['sh', '-c', 'cat /proc/uptime; exec sleep 3600']
  const volumes = volume === 'none' ? 0 : 1
  const pod = identityPod({ namespace, name, node: 'node-a', serviceAccount: 'default', volumes, command }) as PodObject
  if (volume === 'emptyDir') pod.spec.volumes = pod.spec.volumes.map(({ name }) => ({ name, emptyDir: {} }))
  const begin = uptimeMs()
  await cluster.api('POST', `/api/v1/namespaces/${namespace}/pods`, pod)
  await cluster.waitUntilPodReady(namespace, name)
  const said = await cluster.podLogs(namespace, name)
  await cluster.api('DELETE', `/api/v1/namespaces/${namespace}/pods/${name}`)
  return Number.parseFloat(said) * 1000 - begin
}

interface PodObject {
  readonly spec: { volumes: { readonly name: string }[] }
}
