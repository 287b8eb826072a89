import type { Clock } from '../../core/runtime/clock.ts'
import type { FetchJwks } from '../attestation/signing-keys.ts'
import type { ReviewToken } from '../attestation/token-reviewer.ts'
import type { Problems } from '../problems.ts'
import type { PodFacts } from '../registration/pod-facts.ts'
import { ApiConnection } from './api-connection.ts'
import { type ClusterAccess, loadCredentials } from './credentials.ts'
import { ApiServerPodFacts } from './pod-facts.ts'
import { discoverIssuer, fetchJwks } from './service-account-issuer.ts'
import { tokenReview } from './token-review.ts'

/** How to connect. */
export interface KubernetesOptions extends ClusterAccess {
  /** The audience that tokens are reviewed for. */
  readonly audience: string
  readonly clock: Clock
  /** Connections to the API server at a time; reviews beyond wait. */
  readonly maxConnections?: number
  /** Told of each rule that RBAC lacks. */
  readonly problems?: Problems | undefined
}

/** A cluster as attestation and registration see it. */
export interface Kubernetes {
  readonly reviewToken: ReviewToken
  readonly fetchJwks: FetchJwks
  readonly discoverIssuer: (signal: AbortSignal) => Promise<string>
  readonly podFacts: PodFacts
  /** For all else that is asked of the API server. */
  readonly api: ApiConnection
  close(): void
}

/**
 * Prepares access to the API server. Nothing is asked of it yet, so that a broker starts while it is away.
 *
 * @throws `IdentityError` `config_invalid` if the kubeconfig or in-cluster configuration cannot be used.
 */
export async function connectKubernetes(options: KubernetesOptions): Promise<Kubernetes> {
  const { audience, clock, maxConnections = 32, problems } = options
  const api = new ApiConnection(await loadCredentials(options), { clock, maxConnections, problems })
  return {
    reviewToken: tokenReview(api, audience),
    fetchJwks: fetchJwks(api),
    discoverIssuer: discoverIssuer(api),
    podFacts: new ApiServerPodFacts(api, clock),
    api,
    close: () => api.close(),
  }
}
