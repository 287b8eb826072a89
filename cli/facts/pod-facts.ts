import { hasVolumes, type PodFact, podFact } from '../checks/pod-fact.ts'
import type { PodFacts } from '../explain/explanation.ts'
import { AGENT_NAMESPACE, AGENT_SELECTOR, CSI_DRIVER } from '../installation/names.ts'
import type { Cluster } from '../kubernetes/cluster.ts'
import { attempt } from './attempt.ts'
import { csiDriver, csiNodes, pods } from './cluster-facts.ts'
import { mountFailures } from './waiting-pods.ts'

/** What the cluster knows about one pod. */
export async function gatherPodFacts(
  cluster: Cluster,
  { namespace, name }: Pick<PodFact, 'namespace' | 'name'>,
  now: Date,
): Promise<PodFacts> {
  const object = await cluster.find(`get pods ${name} in namespace ${namespace}`, ({ core }) =>
    core.readNamespacedPod({ namespace, name }),
  )
  const pod = object && podFact(object, CSI_DRIVER)
  const [driver, registered, agents, failures] = await Promise.all([
    attempt(() => csiDriver(cluster)),
    attempt(async () =>
      (await csiNodes(cluster)).some(({ node, drivers }) => node === pod?.node && drivers.includes(CSI_DRIVER)),
    ),
    attempt(() => pods(cluster, AGENT_NAMESPACE, AGENT_SELECTOR)),
    attempt(async () => (pod ? mountFailures(cluster, pod, now) : { ofOurs: [], ofOthers: [] })),
  ])
  return {
    pod,
    csiDriver: driver,
    isRegistered: registered,
    agentPod: 'value' in agents ? { value: agents.value.find(({ node }) => node === pod?.node) } : agents,
    mountFailures: failures,
    hasStarted: object !== undefined && hasVolumes(object),
  }
}
