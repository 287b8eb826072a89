import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { withDeadline } from '../attestation/deadline.ts'
import type { FetchJwks } from '../attestation/signing-keys.ts'
import type { ReviewToken } from '../attestation/token-reviewer.ts'
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
}

/** A cluster as attestation and registration see it. */
export interface Kubernetes {
  readonly reviewToken: ReviewToken
  readonly fetchJwks: FetchJwks
  readonly discoverIssuer: (signal: AbortSignal) => Promise<string>
  readonly podFacts: PodFacts
  close(): void
}

/** The longest that one request may take. */
const REQUEST_TIMEOUT_MS = 5_000

/**
 * Prepares access to the API server. Nothing is asked of it yet, so that a broker starts while it is away.
 *
 * @throws {@link IdentityError} `config_invalid` if the kubeconfig or in-cluster configuration cannot be used.
 */
export async function connectKubernetes(options: KubernetesOptions): Promise<Kubernetes> {
  const { audience, clock, maxConnections = 32 } = options
  const api = new ApiConnection(await loadCredentials(options), { clock, maxConnections })
  const late = () =>
    new IdentityError('kubernetes_unavailable', 'the API server does not answer in time', { retryAfterMs: 1000 })
  const bounded =
    <T>(ask: (signal: AbortSignal) => Promise<T>) =>
    (signal: AbortSignal) =>
      withDeadline({ clock, timeoutMs: REQUEST_TIMEOUT_MS, signal }, ask, late)

  const review = tokenReview(api, audience)
  const facts = new ApiServerPodFacts(api, clock)
  return {
    reviewToken: (token, signal) => bounded((inTime) => review(token, inTime))(signal),
    fetchJwks: bounded(fetchJwks(api)),
    discoverIssuer: bounded(discoverIssuer(api)),
    podFacts: {
      podLabels: (pod, signal) => bounded((inTime) => facts.podLabels(pod, inTime))(signal),
      namespaceLabels: (namespace, signal) => bounded((inTime) => facts.namespaceLabels(namespace, inTime))(signal),
    },
    close: () => api.close(),
  }
}
