import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { NETWORK, type NodeLayout } from '../layout.ts'
import { type Placement, startComponent } from '../machine/processes.ts'
import type { Binaries } from '../tools/build.ts'
import { kubeconfigFile } from './pki.ts'

/** Starts a node's kube-proxy; its rules live in the node's network namespace and go with it. */
export async function startKubeProxy(binaries: Binaries, node: NodeLayout, placement: Placement): Promise<void> {
  const config = join(node.dir, 'kube-proxy.json')
  await writeFile(config, JSON.stringify(kubeProxyConfig(node), null, 2))
  await startComponent(`${node.name}-kube-proxy`, binaries('kube-proxy'), [`--config=${config}`], placement)
}

function kubeProxyConfig(node: NodeLayout): object {
  return {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode: 'iptables',
    hostnameOverride: node.name,
    clientConnection: { kubeconfig: kubeconfigFile('kube-proxy') },
    // What comes from elsewhere (this machine, the control plane) is masqueraded, so that answers come back the same way.
    clusterCIDR: NETWORK.pods,
    // These limits are the machine's, not the namespace's: leave them alone.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
    // Tests make and delete Services in quick succession.
    iptables: { minSyncPeriod: '100ms', syncPeriod: '30s' },
  }
}
