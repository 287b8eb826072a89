import { type Check, count, fail, type Finding, judged, pass, warn } from './check.ts'
import type { InstalledFacts, NodeFact, PreFacts } from './facts.ts'

type Facts = Pick<PreFacts & InstalledFacts, 'nodes'>

/**
 * Before 1.29 the gRPC library of kubelet names its peer by the raw path of the socket, which HTTP/2 servers refuse: the
 * agent could never register.
 */
const OLDEST_THAT_REGISTERS = 29
/** Before 1.34 an error on a republish may remove the volume of a running pod (kubernetes#121271). */
const OLDEST_SUPPORTED = 34

export const NODE_CHECKS: readonly Check<Facts>[] = [
  {
    id: 'kubelet-versions',
    category: 'kubernetes',
    title: 'the kubelets are new enough',
    about:
      'An agent cannot register with a kubelet before 1.29. One before 1.34 may lose the volume of a running pod when a renewal fails.',
    run: ({ nodes }) => judged(nodes, judgeKubelets),
  },
  {
    id: 'nodes-linux',
    category: 'kubernetes',
    title: 'the nodes run Linux',
    about: 'Agents run on Linux nodes only; pods on others get no identity.',
    run: ({ nodes }) =>
      judged(nodes, (all) => {
        const others = all.filter(({ operatingSystem }) => operatingSystem !== 'linux')
        if (others.length === 0) return pass(count(all.length, 'node'))
        return warn(
          `${count(others.length, 'node')} of ${all.length} cannot give identities`,
          'Keep pods with identities off them, for example by the node selector kubernetes.io/os: linux.',
          others.map(({ name, operatingSystem }) => ({ subject: name, reason: `it runs ${operatingSystem}` })),
        )
      }),
  },
]

function judgeKubelets(nodes: readonly NodeFact[]) {
  if (nodes.length === 0) return warn('the cluster has no node', 'Add nodes; agents come to them by themselves.')
  const linux = nodes.filter(({ operatingSystem }) => operatingSystem === 'linux')
  const found = linux.map((node) => ({ node, minor: minorOf(node.kubelet) }))
  const tooOld = found.filter(({ minor }) => minor < OLDEST_THAT_REGISTERS).map(({ node }) => finding(node))
  const old = found.filter(({ minor }) => minor >= OLDEST_THAT_REGISTERS && minor < OLDEST_SUPPORTED)
  const remedy = `Upgrade the kubelets to 1.${OLDEST_SUPPORTED} or newer.`
  if (tooOld.length > 0)
    return fail(`the agent cannot register with the kubelet of ${count(tooOld.length, 'node')}`, remedy, [
      ...tooOld,
      ...old.map(({ node }) => finding(node)),
    ])
  if (old.length > 0)
    return warn(
      `the kubelet of ${count(old.length, 'node')} may lose volumes when renewals fail`,
      remedy,
      old.map(({ node }) => finding(node)),
    )
  return pass(count(linux.length, 'node'))
}

const finding = ({ name, kubelet }: NodeFact): Finding => ({ subject: name, reason: `kubelet ${kubelet}` })

/** 37 of `v1.37.1`. What cannot be read counts as old. */
export function minorOf(version: string): number {
  const [, major = '0', minor = '0'] = /^v?(\d+)\.(\d+)/.exec(version) ?? []
  return Number(major) > 1 ? Number.POSITIVE_INFINITY : Number(minor)
}
