import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CA_FILE, CGROUP, CLUSTER_DOMAIN, NETWORK, type NodeLayout } from '../layout.ts'
import { type Placement, startComponent, stopComponent } from '../machine/processes.ts'
import type { Binaries } from '../tools/build.ts'
import { containerdSocket } from './containerd.ts'
import { kubeconfigFile, pkiFile } from './pki.ts'

const componentName = (node: NodeLayout): string => `${node.name}-kubelet`

/** Starts a node's kubelet; `settings` replace those of {@link kubeletConfig} by name. */
export async function startKubelet(
  binaries: Binaries,
  node: NodeLayout,
  placement: Placement,
  settings: Record<string, unknown>,
): Promise<void> {
  await mkdir(node.kubeletRoot, { recursive: true })
  await writeFile(join(node.dir, 'resolv.conf'), '')
  const config = join(node.dir, 'kubelet.json')
  await writeFile(config, JSON.stringify({ ...kubeletConfig(node), ...settings }, null, 2))
  await startComponent(componentName(node), binaries('kubelet'), kubeletArgs(node, config), placement)
}

/** Kills the kubelet, as in a crash; containers and mounts stay. */
export async function stopKubelet(node: NodeLayout): Promise<void> {
  await stopComponent(componentName(node), 0)
}

function kubeletArgs(node: NodeLayout, config: string): string[] {
  return [
    `--config=${config}`,
    `--kubeconfig=${kubeconfigFile(node.name)}`,
    `--hostname-override=${node.name}`,
    `--node-ip=${node.ip}`,
    `--root-dir=${node.kubeletRoot}`,
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
