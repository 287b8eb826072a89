import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { waitFor } from '../base/wait.ts'
import type { NodeLayout } from '../layout.ts'
import { runIn } from '../machine/namespaces.ts'
import { startComponent, type Placement } from '../machine/processes.ts'
import { PAUSE_IMAGE } from '../images/catalog.ts'

const CNI_PLUGINS = '/usr/lib/cni'

export const containerdSocket = (node: NodeLayout): string => join(node.dir, 'containerd.sock')

/** Starts a node's containerd, with a CNI bridge of its own, and returns once it answers. */
export async function startContainerd(node: NodeLayout, placement: Placement): Promise<void> {
  const cni = join(node.dir, 'cni')
  await mkdir(cni, { recursive: true })
  await writeFile(join(cni, '10-bridge.conflist'), JSON.stringify(cniConfig(node), null, 2))
  const config = join(node.dir, 'containerd.toml')
  await writeFile(config, containerdConfig(node, cni))
  await startComponent(`${node.name}-containerd`, 'containerd', ['--config', config], placement)
  await waitFor(`containerd of ${node.name}`, () => ctr(node, placement, ['version']), { timeout: 30_000 })
}

/** Makes the image in an OCI archive known to a node. */
export async function importImage(node: NodeLayout, placement: Placement, archive: string): Promise<void> {
  await ctr(node, placement, ['--namespace', 'k8s.io', 'images', 'import', archive])
}

/** Gives an image that a node has another name too. */
export async function tagImage(node: NodeLayout, placement: Placement, from: string, to: string): Promise<void> {
  await ctr(node, placement, ['--namespace', 'k8s.io', 'images', 'tag', '--force', from, to])
}

function ctr(node: NodeLayout, placement: Placement, args: readonly string[]): Promise<string> {
  return runIn(placement, 'ctr', ['--address', containerdSocket(node), ...args])
}

function cniConfig(node: NodeLayout): object {
  return {
    cniVersion: '1.0.0',
    name: 'pods',
    plugins: [
      {
        type: 'bridge',
        bridge: 'cni0',
        isDefaultGateway: true,
        hairpinMode: true,
        // Every node and this machine have routes to every pod, so that pods are seen by their own addresses.
        ipMasq: false,
        ipam: { type: 'host-local', ranges: [[{ subnet: node.podSubnet }]], dataDir: join(node.dir, 'ipam') },
      },
    ],
  }
}

function containerdConfig({ dir }: NodeLayout, cni: string): string {
  return `
version = 2
root = "${dir}/containerd"
state = "${dir}/containerd-state"
# Lowering it needs CAP_SYS_RESOURCE, which root may lack.
oom_score = 0
[grpc]
  address = "${dir}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE_IMAGE}"
  # For the same reason; without it runc dies with "can't get final child's PID from pipe".
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${CNI_PLUGINS}"
    conf_dir = "${cni}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        Root = "${dir}/runc"
[plugins."io.containerd.internal.v1.opt"]
  path = "${dir}/opt"
`
}
