import { join } from 'node:path'

/** A program built from a Go module of this folder. */
export interface Tool {
  name: string
  package: string
}

/** One go.mod for each family, so that the pins of one do not move another's. */
export interface ToolModule {
  dir: string
  /** Extra arguments of `go build`. */
  flags: readonly string[]
  tools: readonly Tool[]
}

const KUBERNETES_VERSION = 'v1.37.1'
const VERSION_PACKAGE = 'k8s.io/component-base/version'
// Without these, the programs call themselves v0.0.0.
const KUBERNETES_VERSION_FLAGS = Object.entries({ gitVersion: KUBERNETES_VERSION, gitMajor: '1', gitMinor: '37' })
  .map(([name, value]) => `-X ${VERSION_PACKAGE}.${name}=${value}`)
  .join(' ')

const kubernetes = (name: string): Tool => ({ name, package: `k8s.io/kubernetes/cmd/${name}` })

export const TOOL_MODULES: readonly ToolModule[] = [
  {
    dir: join(import.meta.dirname, 'kubernetes'),
    flags: ['-tags', 'selinux,notest,grpcnotrace', '-ldflags', `-s -w ${KUBERNETES_VERSION_FLAGS}`],
    tools: [
      { name: 'etcd', package: 'go.etcd.io/etcd/server/v3' },
      kubernetes('kube-apiserver'),
      kubernetes('kubelet'),
      kubernetes('kube-controller-manager'),
      kubernetes('kube-scheduler'),
      kubernetes('kubectl'),
      kubernetes('kube-proxy'),
    ],
  },
  {
    dir: join(import.meta.dirname, 'coredns'),
    flags: ['-ldflags', '-s -w'],
    tools: [{ name: 'coredns', package: 'github.com/coredns/coredns' }],
  },
  {
    dir: join(import.meta.dirname, 'csi-sanity'),
    flags: ['-ldflags', '-s -w'],
    tools: [{ name: 'csi-sanity', package: 'github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity' }],
  },
  {
    dir: join(import.meta.dirname, 'spiffe-probe'),
    flags: ['-ldflags', '-s -w'],
    tools: [{ name: 'spiffe-probe', package: '.' }],
  },
  {
    dir: join(import.meta.dirname, 'pause'),
    flags: ['-ldflags', '-s -w'],
    tools: [{ name: 'pause', package: '.' }],
  },
]

/** What only some suites run: built when the first of them asks. */
export const HELM: ToolModule = {
  dir: join(import.meta.dirname, 'helm'),
  // Without the version Helm calls itself v4 and no more.
  flags: ['-ldflags', '-s -w -X helm.sh/helm/v4/internal/version.version=v4.3.1'],
  tools: [{ name: 'helm', package: 'helm.sh/helm/v4/cmd/helm' }],
}

export const KUBE_SCORE: ToolModule = {
  dir: join(import.meta.dirname, 'kube-score'),
  flags: ['-ldflags', '-s -w'],
  tools: [{ name: 'kube-score', package: 'github.com/zegl/kube-score/cmd/kube-score' }],
}
