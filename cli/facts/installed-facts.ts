import type { Clock } from '../../core/runtime/clock.ts'
import type { X509Bundle } from '../../core/spiffe/bundle.ts'
import type { AdminChannel } from '../broker/admin-channel.ts'
import { everyAgent, everyTemplate } from '../broker/lists.ts'
import { type Read, valueOf } from '../checks/check.ts'
import type { InstalledFacts } from '../checks/facts.ts'
import { AGENT_NAMESPACE, AGENT_SELECTOR, BROKER_SELECTOR, SYSTEM_NAMESPACE } from '../installation/names.ts'
import type { Cluster } from '../kubernetes/cluster.ts'
import { attempt } from './attempt.ts'
import { crds, csiDriver, csiNodes, daemonSet, deployment, nodes, pods, serverVersion } from './cluster-facts.ts'
import { waitingPods } from './waiting-pods.ts'

interface Sources {
  readonly cluster: Cluster
  readonly clock: Clock
  readonly brokerIsElsewhere: boolean
  /** As an operator's flag says it. */
  readonly trustDomain: string | undefined
  /** What the ConfigMap holds. */
  readonly trustBundle: () => Promise<X509Bundle | undefined>
  readonly admin: () => Promise<AdminChannel>
}

const NOT_ASKED = { kind: 'unreachable', message: 'the broker could not be asked' } as const

/** All that `countersign check` judges, read at the same time. */
export async function gatherInstalledFacts(sources: Sources): Promise<InstalledFacts> {
  const { cluster, clock, brokerIsElsewhere } = sources
  const admin = await attempt(sources.admin)
  const now = clock.now()
  const status: InstalledFacts['status'] =
    'value' in admin
      ? await attempt(() => admin.value.ask((service, options) => service.getStatus({}, options)))
      : admin
  const channel = valueOf(status) && valueOf(admin)
  // Why it could not be asked is said once, with the status.
  const ask = <T>(question: (channel: AdminChannel) => Promise<T>): Promise<Read<T>> =>
    channel ? attempt(() => question(channel)) : Promise.resolve({ failure: NOT_ASKED })
  const [version, nodesRead, csiDriverRead, crdsRead, csiNodesRead, trustBundle, agents, authorities, templates] =
    await Promise.all([
      attempt(() => serverVersion(cluster)),
      attempt(() => nodes(cluster)),
      attempt(() => csiDriver(cluster)),
      attempt(() => crds(cluster)),
      attempt(() => csiNodes(cluster)),
      attempt(sources.trustBundle),
      ask(everyAgent),
      ask((channel) => channel.ask((service, options) => service.listAuthorities({}, options))),
      ask(everyTemplate),
    ])
  const [brokerDeployment, brokerPods, agentDaemonSet, agentPods, waiting] = await Promise.all([
    attempt(() => deployment(cluster, SYSTEM_NAMESPACE, BROKER_SELECTOR)),
    attempt(() => pods(cluster, SYSTEM_NAMESPACE, BROKER_SELECTOR)),
    attempt(() => daemonSet(cluster, AGENT_NAMESPACE, AGENT_SELECTOR)),
    attempt(() => pods(cluster, AGENT_NAMESPACE, AGENT_SELECTOR)),
    attempt(() => waitingPods(cluster, { admin: channel, now })),
  ])
  const bundle = valueOf(trustBundle)
  return {
    now,
    brokerIsElsewhere,
    trustDomain: sources.trustDomain ?? valueOf(status)?.trustDomain ?? bundle?.trustDomain.toString(),
    version,
    nodes: nodesRead,
    csiDriver: csiDriverRead,
    crds: crdsRead,
    brokerDeployment,
    brokerPods,
    agentDaemonSet,
    agentPods,
    csiNodes: csiNodesRead,
    trustBundle: 'value' in trustBundle ? { value: bundle && { bundle } } : trustBundle,
    status,
    agents,
    authorities,
    templates,
    waitingPods: waiting,
  }
}
