import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { waitFor } from '../base/wait.ts'
import { CLUSTER_DOMAIN, NETWORK, STATE_DIR } from '../layout.ts'
import { runIn } from '../machine/namespaces.ts'
import { type Placement, startComponent } from '../machine/processes.ts'
import type { Binaries } from '../tools/build.ts'
import { kubeconfigFile } from './pki.ts'

/** Starts CoreDNS as a process of the control plane and returns once it has seen the cluster's Services. */
export async function startDns(binaries: Binaries, placement: Placement): Promise<void> {
  const corefile = join(STATE_DIR, 'Corefile')
  await writeFile(corefile, COREFILE)
  await startComponent('coredns', binaries('coredns'), ['-conf', corefile], placement)
  await waitFor('CoreDNS', async () => {
    await runIn(placement, '/bin/busybox', ['wget', '-q', '-O-', `http://${NETWORK.controlPlane}:8181/ready`])
    return true
  })
}

// No TTL: a test that replaces a Service finds the new one.
const COREFILE = `
.:53 {
  bind ${NETWORK.controlPlane}
  errors
  ready ${NETWORK.controlPlane}:8181
  kubernetes ${CLUSTER_DOMAIN} in-addr.arpa {
    kubeconfig ${kubeconfigFile('coredns')} test
    pods insecure
    ttl 0
  }
}
`

/** What makes CoreDNS the cluster's DNS: its rights, and the Service in front of it. */
export const DNS_OBJECTS = [
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name: 'system:coredns' },
    rules: [
      { apiGroups: [''], resources: ['endpoints', 'services', 'pods', 'namespaces'], verbs: ['list', 'watch'] },
      { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
    ],
  },
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: 'system:coredns' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'system:coredns' },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'system:coredns' }],
  },
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'kube-dns', namespace: 'kube-system' },
    spec: {
      clusterIP: NETWORK.dnsService,
      ports: [
        { name: 'dns', port: 53, protocol: 'UDP' },
        { name: 'dns-tcp', port: 53, protocol: 'TCP' },
      ],
    },
  },
  {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: 'kube-dns',
      namespace: 'kube-system',
      labels: { 'kubernetes.io/service-name': 'kube-dns' },
    },
    addressType: 'IPv4',
    ports: [
      { name: 'dns', port: 53, protocol: 'UDP' },
      { name: 'dns-tcp', port: 53, protocol: 'TCP' },
    ],
    endpoints: [{ addresses: [NETWORK.controlPlane] }],
  },
]
