import { join } from 'node:path'

/**
 * Names, addresses and folders of the cluster. All are fixed: every network part lives in network namespaces of its
 * own, and a lock keeps two clusters from running at once.
 */

export type NodeName = 'node-a' | 'node-b'

/** Everything of a running cluster is in this folder, and it goes with the cluster. */
export const STATE_DIR = '/var/lib/countersign-cluster'

/** Every process and container of the cluster is in this cgroup or below, which is how `down` finds them all. */
export const CGROUP = 'countersign-cluster'

/** The end on this machine of the only link into the cluster. */
export const HOST_LINK = 'csn-host'

/** The cluster's part of the address space; nothing outside it is touched. */
export const NETWORK = {
  nodes: '10.213.0.0/24',
  pods: '10.213.16.0/20',
  services: '10.213.32.0/24',
  /** This machine, as nodes and pods see it. */
  host: '10.213.0.1',
  /** etcd, API server, controller-manager, scheduler and CoreDNS. */
  controlPlane: '10.213.0.10',
  kubernetesService: '10.213.32.1',
  dnsService: '10.213.32.10',
} as const

export const API_SERVER_PORT = 6443
export const API_SERVER_URL = `https://${NETWORK.controlPlane}:${API_SERVER_PORT}`
export const CLUSTER_DOMAIN = 'cluster.local'
export const SERVICE_ACCOUNT_ISSUER = `https://kubernetes.default.svc.${CLUSTER_DOMAIN}`

export interface NodeLayout {
  name: NodeName
  ip: string
  podSubnet: string
  /** containerd's and CNI's files. */
  dir: string
}

export const NODES: readonly NodeLayout[] = [
  {
    name: 'node-a',
    ip: '10.213.0.11',
    podSubnet: '10.213.16.0/24',
    dir: join(STATE_DIR, 'node-a'),
  },
  {
    name: 'node-b',
    ip: '10.213.0.12',
    podSubnet: '10.213.17.0/24',
    dir: join(STATE_DIR, 'node-b'),
  },
]

/** kubelet's `--root-dir` unless a suite chooses another. */
export const DEFAULT_KUBELET_ROOT = '/var/lib/kubelet'

/**
 * Folders whose paths are built into kubelet, containerd or CNI. In a node's mount namespace each is covered by a
 * folder of the node, so that those of the machine, and of the other node, are neither seen nor changed.
 */
export const COVERED_DIRS = [
  DEFAULT_KUBELET_ROOT,
  '/var/lib/cni',
  '/var/log/pods',
  '/var/log/containers',
  '/run/containerd',
  '/run/netns',
  '/usr/libexec/kubernetes',
] as const

export const PKI_DIR = join(STATE_DIR, 'pki')
export const LOG_DIR = join(STATE_DIR, 'log')
export const PROCESS_DIR = join(STATE_DIR, 'process')
export const IMAGE_DIR = join(STATE_DIR, 'images')
export const STATE_FILE = join(STATE_DIR, 'state.json')
export const ADMIN_KUBECONFIG = join(PKI_DIR, 'admin.kubeconfig')
export const CA_FILE = join(PKI_DIR, 'ca.crt')
