import { durationMs, timestampMs } from '@bufbuild/protobuf/wkt'
import type { Agent } from '../../proto/gen/countersign/admin/v1/admin_pb.ts'
import { AGENT_NAMESPACE, CSI_DRIVER } from '../installation/names.ts'
import { troubled } from './broker-checks.ts'
import { type Check, count, fail, type Finding, judged, pass, skip, valueOf, warn } from './check.ts'
import type { InstalledFacts } from './facts.ts'

/** SVIDs are back-dated by 60 s; half of that is time to act. */
const MAX_SKEW_MS = 30_000

/** The agents: on every node, known to its kubelet, connected to the broker. */
export const AGENT_CHECKS: readonly Check<InstalledFacts>[] = [
  {
    id: 'agent-daemonset',
    category: 'agents',
    title: 'an agent runs on every node',
    about: 'Pods of a node without an agent wait for their volume.',
    run: ({ agentDaemonSet, agentPods, agents, brokerIsElsewhere }) =>
      judged(agentDaemonSet, (daemonSet) => {
        if (!daemonSet) {
          if (brokerIsElsewhere && !valueOf(agents))
            return skip('there is no DaemonSet, and the broker could not be asked whether there are other agents')
          const connected = (valueOf(agents) ?? []).filter((agent) => agent.connected).length
          if (connected > 0)
            return skip(
              `there is no DaemonSet; ${count(connected, 'agent')} that nobody manages here ${connected === 1 ? 'is' : 'are'} connected`,
            )
          return fail(
            `there is no DaemonSet in namespace ${AGENT_NAMESPACE}`,
            'Install Countersign: docs/getting-started.md.',
          )
        }
        const { name, desired, ready } = daemonSet
        if (desired === 0)
          return fail(
            `${name} selects no node`,
            'Correct its nodeSelector and tolerations (agent.nodeSelector, agent.tolerations).',
          )
        if (ready >= desired) return pass(`${name}: ${ready} of ${desired} ready`)
        return fail(
          `${name}: ${ready} of ${desired} ready`,
          `kubectl -n ${AGENT_NAMESPACE} describe pods says what they wait for.`,
          troubled(valueOf(agentPods) ?? []).map((finding) => withNode(finding, valueOf(agentPods) ?? [])),
        )
      }),
  },
  {
    id: 'agents-on-nodes',
    category: 'agents',
    title: 'no node is left out',
    about:
      'A node that the DaemonSet does not tolerate or select has no agent; pods with identities must not come there.',
    run: ({ agentDaemonSet, agentPods, nodes }) =>
      judged(agentPods, (pods) =>
        judged(nodes, (all) => {
          if ('failure' in agentDaemonSet) return skip('the DaemonSet could not be looked at')
          if (!agentDaemonSet.value) return skip('there is no DaemonSet')
          const with_ = new Set(pods.map(({ node }) => node))
          const without = all.filter(({ name, operatingSystem }) => operatingSystem === 'linux' && !with_.has(name))
          if (without.length === 0) return pass(count(all.length, 'node'))
          return warn(
            `${count(without.length, 'node')} of ${all.length} ${without.length === 1 ? 'has' : 'have'} no agent`,
            'If pods with identities may run there, extend agent.tolerations or agent.nodeSelector.',
            without.map(({ name }) => ({ subject: name, reason: 'no agent is scheduled to it' })),
          )
        }),
      ),
  },
  {
    id: 'csi-registration',
    category: 'agents',
    title: 'every kubelet knows the driver',
    about:
      'An agent registers with its kubelet through a socket in the folder plugins_registry; kubelet then lists it in CSINode. Where agents ended again and again as they started, kubelet waits longer each time, two minutes at most, and the agent is not ready until then.',
    run: ({ csiNodes, nodes }) =>
      judged(csiNodes, (registered) => {
        const expected = (valueOf(nodes) ?? [])
          .filter(({ operatingSystem }) => operatingSystem === 'linux')
          .map(({ name }) => name)
        const known = new Set(registered.filter(({ drivers }) => drivers.includes(CSI_DRIVER)).map(({ node }) => node))
        const missing = expected.filter((node) => !known.has(node))
        if (expected.length === 0) return skip('the nodes are not known')
        if (missing.length === 0) return pass(count(expected.length, 'node'))
        return fail(
          `${count(missing.length, 'kubelet')} of ${expected.length} ${missing.length === 1 ? 'does' : 'do'} not know ${CSI_DRIVER}`,
          `See the agent of the node (kubectl -n ${AGENT_NAMESPACE} get pods -o wide); its plugins_registry must be the kubelet's own.`,
          missing.map((subject) => ({ subject, reason: 'not registered: pods with our volume wait there' })),
        )
      }),
  },
  {
    id: 'agents-connected',
    category: 'agents',
    title: 'every agent is connected to the broker',
    about: 'An agent that is not connected renews nothing, and learns of no change of trust.',
    run: ({ agents }) =>
      judged(agents, (all) => {
        const away = all.filter(({ connected }) => !connected)
        if (all.length === 0)
          return fail(
            'no agent has ever connected',
            'See the logs of the agents: broker address, token audience and trust bundle are what goes wrong.',
          )
        if (away.length === 0) return pass(count(all.length, 'agent'))
        return fail(
          `${count(away.length, 'agent')} of ${all.length} ${away.length === 1 ? 'is' : 'are'} not connected`,
          'See the log of the agent on the node, and whether it reaches the broker; a node that is gone for good drops out by itself.',
          away.map(({ nodeName, holdsUntil }) => ({
            subject: nodeName,
            reason: `not connected${holdsUntil ? `; what it holds ends at ${new Date(timestampMs(holdsUntil)).toISOString()}` : ''}`,
          })),
        )
      }),
  },
  {
    id: 'agents-up-to-date',
    category: 'agents',
    title: 'every connected agent has enforced the current trust bundle',
    about: 'The next authority is activated only once they all have.',
    run: ({ agents }) =>
      judged(agents, (all) => {
        const behind = all.filter(({ connected, upToDate }) => connected && !upToDate)
        if (behind.length === 0) return pass('all of them')
        return warn(
          `${count(behind.length, 'agent')} ${behind.length === 1 ? 'is' : 'are'} behind`,
          'They should follow within seconds; if not, see the log of the agent on the node (a full or read-only disk, mostly).',
          behind.map(({ nodeName, enforcedBundleSequence }) => ({
            subject: nodeName,
            reason: `enforces sequence ${enforcedBundleSequence}`,
          })),
        )
      }),
  },
  {
    id: 'clock-skew',
    category: 'agents',
    title: 'the clocks of the nodes agree with the broker’s',
    about: 'SVIDs are back-dated by a minute; on a node whose clock is further behind, a fresh one is not valid yet.',
    run: ({ agents }) =>
      judged(agents, (all) => {
        const skewed = all.flatMap((agent) => {
          const skew = skewMs(agent)
          return Math.abs(skew) > MAX_SKEW_MS
            ? [
                {
                  subject: agent.nodeName,
                  reason: `${(Math.abs(skew) / 1000).toFixed(1)} s ${skew > 0 ? 'ahead' : 'behind'}`,
                },
              ]
            : []
        })
        const largest = Math.max(0, ...all.map((agent) => Math.abs(skewMs(agent))))
        if (skewed.length === 0) return pass(`at most ${(largest / 1000).toFixed(1)} s apart`)
        return fail(
          `the clock of ${count(skewed.length, 'node')} is off`,
          'Synchronise the clocks of the nodes (chrony, systemd-timesyncd).',
          skewed,
        )
      }),
  },
  {
    id: 'agent-svids',
    category: 'agents',
    title: 'the agents’ own SVIDs are valid',
    about: 'An agent proves itself with an SVID of one hour, and attests its node again in time.',
    run: ({ agents, now }) =>
      judged(agents, (all) => {
        const expired = all.filter(
          ({ connected, svidNotAfter }) => connected && svidNotAfter && timestampMs(svidNotAfter) <= now.getTime(),
        )
        if (expired.length === 0) return pass('all of them')
        return fail(
          `${count(expired.length, 'SVID')} expired`,
          'See the log of the agent: its token, and the clock of its node.',
          expired.map(({ nodeName }) => ({ subject: nodeName, reason: 'its SVID has expired' })),
        )
      }),
  },
]

function skewMs({ clockSkew }: Agent): number {
  return clockSkew ? durationMs(clockSkew) : 0
}

function withNode(
  finding: Finding,
  pods: readonly { readonly namespace: string; readonly name: string; readonly node: string }[],
): Finding {
  const node = pods.find(({ namespace, name }) => `${namespace}/${name}` === finding.subject)?.node
  return node ? { ...finding, subject: `${finding.subject} on ${node}` } : finding
}
