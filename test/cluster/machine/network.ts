import { run } from '../base/run.ts'
import { HOST_LINK, NETWORK, NODES, type NodeLayout } from '../layout.ts'
import { runIn } from './namespaces.ts'
import type { ProcessId } from './process-table.ts'

/*
 * One bridge in the control plane's namespace joins the control plane, both nodes and this machine:
 *
 *   this machine ─ csn-host ═ csn-uplink ─┐
 *   node-a       ─ eth0 ═ csn-node-a ─────┤ csn-lan (control plane)
 *   node-b       ─ eth0 ═ csn-node-b ─────┘
 *
 * This machine forwards nothing and filters nothing for the cluster: its only change is one link with its routes,
 * which the kernel removes together with the namespace at the link's other end.
 */
const BRIDGE = 'csn-lan'
const PREFIX = 24

export async function connectControlPlane(controlPlane: ProcessId): Promise<void> {
  const inside = { networkOf: controlPlane.pid }
  await ip(inside, ['link set lo up', `link add ${BRIDGE} type bridge`, ...address(BRIDGE, NETWORK.controlPlane)])
  // Tests reach the API server, pods and Services by this link, and are reached by them.
  await ip({}, [`link add ${HOST_LINK} type veth peer name csn-uplink netns ${controlPlane.pid}`])
  await ip(inside, [`link set csn-uplink master ${BRIDGE} up`])
  await ip({}, [...address(HOST_LINK, NETWORK.host), ...routes(NODES)])
  await ip(inside, [...routes(NODES), `route add default via ${NETWORK.host}`])
}

export async function connectNode(node: NodeLayout, holder: ProcessId, controlPlane: ProcessId): Promise<void> {
  const link = `csn-${node.name}`
  const inside = { networkOf: holder.pid }
  await ip(inside, ['link set lo up', `link add eth0 type veth peer name ${link} netns ${controlPlane.pid}`])
  await ip({ networkOf: controlPlane.pid }, [`link set ${link} master ${BRIDGE} up`])
  await ip(inside, [
    ...address('eth0', node.ip),
    ...NODES.filter((other) => other !== node).map((other) => `route add ${other.podSubnet} via ${other.ip}`),
    `route add default via ${NETWORK.host}`,
  ])
  await runIn(inside, 'sh', ['-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward'])
}

/** Removes the link at once; without this it goes a moment after the last process of the namespace at its other end. */
export async function disconnectHost(): Promise<void> {
  if (!(await isHostConnected())) return
  try {
    await run('ip', ['link', 'delete', HOST_LINK])
  } catch (error) {
    // The kernel may have been quicker.
    if (await isHostConnected()) throw error
  }
}

async function isHostConnected(): Promise<boolean> {
  return (await run('ip', ['-o', 'link'])).includes(` ${HOST_LINK}@`)
}

/** Pods by their nodes; Services by the first node, whose kube-proxy finds the pod behind them. */
function routes(nodes: readonly NodeLayout[]): string[] {
  const [first] = nodes
  const services = first ? [`route add ${NETWORK.services} via ${first.ip}`] : []
  return [...nodes.map((node) => `route add ${node.podSubnet} via ${node.ip}`), ...services]
}

function address(link: string, ip: string): string[] {
  return [`address add ${ip}/${PREFIX} dev ${link}`, `link set ${link} up`]
}

async function ip(placement: { networkOf?: number }, commands: readonly string[]): Promise<void> {
  await runIn(placement, 'ip', ['-batch', '-'], commands.join('\n'))
}
