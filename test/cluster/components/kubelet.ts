import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CA_FILE, CGROUP, CLUSTER_DOMAIN, NETWORK, type NodeLayout } from '../layout.ts'
import { runIn } from '../machine/namespaces.ts'
import { type Placement, startComponent, stopComponent } from '../machine/processes.ts'
import type { Binaries } from '../tools/build.ts'
import { containerdSocket } from './containerd.ts'
import { kubeconfigFile, pkiFile } from './pki.ts'

const componentName = (node: NodeLayout): string => `${node.name}-kubelet`

export interface KubeletSettings {
  /** `--root-dir`, as seen in the node. */
  root: string
  /** Replaces fields of our own configuration, by name. */
  config: Record<string, unknown>
}

/** Starts a node's kubelet. */
export async function startKubelet(
  binaries: Binaries,
  node: NodeLayout,
  placement: Placement,
  { root, config: changes }: KubeletSettings,
): Promise<void> {
  await runIn(placement, 'mkdir', ['-p', root])
  await writeFile(join(node.dir, 'resolv.conf'), '')
  const config = join(node.dir, 'kubelet.json')
  await writeFile(config, JSON.stringify({ ...kubeletConfig(node), ...changes }, null, 2))
  await startComponent(componentName(node), binaries('kubelet'), kubeletArgs(node, config, root), placement)
}

/** Kills the kubelet, as in a crash; containers and mounts stay. */
export async function stopKubelet(node: NodeLayout): Promise<void> {
  await stopComponent(componentName(node), 0)
}

function kubeletArgs(node: NodeLayout, config: string, root: string): string[] {
  return [
    `--config=${config}`,
    `--kubeconfig=${kubeconfigFile(node.name)}`,
    `--hostname-override=${node.name}`,
    `--node-ip=${node.ip}`,
    `--root-dir=${root}`,
    '-v=2',
  ]
}

function kubeletConfig(node: NodeLayout): object {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    failCgroupV1: false,
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${CGROUP}/${node.name}`,
    failSwapOn: false,
    containerRuntimeEndpoint: `unix://${containerdSocket(node)}`,
    authentication: { anonymous: { enabled: false }, webhook: { enabled: true }, x509: { clientCAFile: CA_FILE } },
    authorization: { mode: 'Webhook' },
    tlsCertFile: pkiFile(`${node.name}.crt`),
    tlsPrivateKeyFile: pkiFile(`${node.name}.key`),
    clusterDNS: [NETWORK.dnsService],
    clusterDomain: CLUSTER_DOMAIN,
    // The machine's own servers and search list cannot be reached from a pod.
    resolvConf: join(node.dir, 'resolv.conf'),
    // A full disk or little memory of the machine must not make a test evict its pods.
    evictionHard: {
      'memory.available': '50Mi',
      'nodefs.available': '1%',
      'imagefs.available': '1%',
      'nodefs.inodesFree': '1%',
    },
    imageGCHighThresholdPercent: 100,
    maxOpenFiles: 20_000,
  }
}
