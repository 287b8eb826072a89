import type { X509Bundle } from '../../core/spiffe/bundle.ts'
import type {
  Agent,
  GetStatusResponse,
  ListAuthoritiesResponse,
  Template,
} from '../../proto/gen/countersign/admin/v1/admin_pb.ts'
import type { Read } from './check.ts'
import type { KubeletMessage } from './mount-failure.ts'
import type { PodFact } from './pod-fact.ts'

/** The version of the API server. */
export interface ServerVersion {
  /** For example `v1.37.1`. */
  readonly text: string
  readonly major: number
  readonly minor: number
}

export interface NodeFact {
  readonly name: string
  readonly kubelet: string
  readonly operatingSystem: string
  readonly isReady: boolean
}

export interface NamespaceFact {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
}

export interface CsiDriverFact {
  readonly labels: Readonly<Record<string, string>>
  readonly podInfoOnMount: boolean
  readonly requiresRepublish: boolean
  readonly attachRequired: boolean
  readonly volumeLifecycleModes: readonly string[]
  readonly tokenAudiences: readonly string[]
  readonly tokenInSecrets: boolean
}

export interface CrdFact {
  /** For example `identitytemplates.countersign.dev`. */
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  /** What the definition was when it was released, by what it says of itself; none of one that says nothing of it. */
  readonly digest: string | undefined
  readonly versions: readonly string[]
  readonly isEstablished: boolean
}

export interface StorageClassFact {
  readonly name: string
  readonly isDefault: boolean
}

/** A Deployment or DaemonSet. */
export interface WorkloadFact {
  readonly name: string
  readonly desired: number
  readonly ready: number
}

/** What kubelet knows of CSI drivers. */
export interface CsiNodeFact {
  readonly node: string
  readonly drivers: readonly string[]
}

/** What the ConfigMap of the trust bundle holds. */
export interface TrustBundleFact {
  readonly bundle: X509Bundle
}

/** A pod that waits for its volume, and what kubelet says about that. */
export interface WaitingPod {
  readonly pod: PodFact
  /** Messages of FailedMount events, newest first. */
  readonly mountFailures: readonly KubeletMessage[]
  /** The broker's explanation, where it could be asked. */
  readonly explained?: { readonly summary: string; readonly remedy: string | undefined } | undefined
}

/** Those that were looked into, and how many were not. */
export interface WaitingPods {
  readonly pods: readonly WaitingPod[]
  readonly more: number
}

/** A rule that is needed to install. */
export interface RightFact {
  /** For example `create clusterroles (rbac.authorization.k8s.io)`. */
  readonly rule: string
  readonly allowed: boolean
}

/** Facts of `countersign check --pre`. */
export interface PreFacts {
  readonly version: Read<ServerVersion>
  readonly rights: Read<readonly RightFact[]>
  readonly nodes: Read<readonly NodeFact[]>
  /** Why a pod with a volume of ours would be refused; `undefined` if it would not. */
  readonly inlineVolume: Read<string | undefined>
  readonly csiDriver: Read<CsiDriverFact | undefined>
  readonly crds: Read<readonly CrdFact[]>
  readonly namespaces: Read<readonly NamespaceFact[]>
  readonly storageClasses: Read<readonly StorageClassFact[]>
  readonly clusterTrustBundles: Read<boolean>
}

/** Facts of `countersign check`. */
export interface InstalledFacts {
  /** Now, by this machine's clock. */
  readonly now: Date
  /** The broker was named by its address, and need not run in this cluster. */
  readonly brokerIsElsewhere: boolean
  readonly trustDomain: string | undefined
  readonly version: Read<ServerVersion>
  readonly nodes: Read<readonly NodeFact[]>
  readonly csiDriver: Read<CsiDriverFact | undefined>
  readonly crds: Read<readonly CrdFact[]>
  readonly brokerDeployment: Read<WorkloadFact | undefined>
  readonly brokerPods: Read<readonly PodFact[]>
  readonly agentDaemonSet: Read<WorkloadFact | undefined>
  readonly agentPods: Read<readonly PodFact[]>
  readonly csiNodes: Read<readonly CsiNodeFact[]>
  readonly trustBundle: Read<TrustBundleFact | undefined>
  readonly status: Read<GetStatusResponse>
  readonly agents: Read<readonly Agent[]>
  readonly authorities: Read<ListAuthoritiesResponse>
  readonly templates: Read<readonly Template[]>
  readonly waitingPods: Read<WaitingPods>
}
