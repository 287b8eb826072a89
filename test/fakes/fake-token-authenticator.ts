import type { Clock } from '../../core/runtime/clock.ts'
import type { FakeKubernetesState } from './fake-kubernetes-state.ts'
import type { Claims, TokenIssuer } from './token-issuer.ts'

/** `status` of a TokenReview. */
export interface ReviewStatus {
  authenticated?: boolean
  error?: string
  audiences?: string[]
  user?: { username?: string; uid?: string; groups?: string[]; extra?: Record<string, string[]> }
}

/** The API server remembers a token that it has accepted for 10 s, and those that it refused not at all. */
const CACHE_MS = 10_000
/** go-jose's leeway, which the API server also grants a pod that is being deleted. */
const LEEWAY_MS = 60_000
const EXTRA = 'authentication.kubernetes.io/'

interface PrivateClaims {
  namespace: string
  serviceaccount: { name: string; uid: string }
  pod?: { name: string; uid: string }
  node?: { name: string; uid?: string }
}

/** Judges ServiceAccount tokens as the API server does (its `pkg/serviceaccount/claims.go`). */
export class FakeTokenAuthenticator {
  readonly #clock: Clock
  readonly #issuer: TokenIssuer
  readonly #state: FakeKubernetesState
  readonly #accepted = new Map<string, { status: ReviewStatus; untilMs: number }>()

  constructor({ clock, issuer, state }: { clock: Clock; issuer: TokenIssuer; state: FakeKubernetesState }) {
    this.#clock = clock
    this.#issuer = issuer
    this.#state = state
  }

  review(token: string, audiences: readonly string[]): ReviewStatus {
    const key = `${audiences.join(' ')} ${token}`
    const cached = this.#accepted.get(key)
    if (cached && cached.untilMs > this.#clock.monotonicMs()) return cached.status
    const status = this.#judge(token, audiences.length === 0 ? [this.#issuer.issuer] : audiences)
    if (status.authenticated) this.#accepted.set(key, { status, untilMs: this.#clock.monotonicMs() + CACHE_MS })
    return status
  }

  #judge(token: string, wanted: readonly string[]): ReviewStatus {
    const claims = this.#issuer.verify(token)
    if (!claims || claims['iss'] !== this.#issuer.issuer) return refused('invalid bearer token')
    const audiences = (claims['aud'] as string[]).filter((audience) => wanted.includes(audience))
    if (audiences.length === 0) return refused('token audiences are invalid for the target audiences')
    const problem = this.#problemOf(claims)
    if (problem !== undefined) return refused(problem)
    return { authenticated: true, audiences, user: userOf(claims) }
  }

  #problemOf(claims: Claims): string | undefined {
    const now = this.#clock.now().getTime()
    if ((claims['exp'] as number) * 1000 + LEEWAY_MS < now) return 'service account token has expired'
    if ((claims['nbf'] as number) * 1000 - LEEWAY_MS > now) return 'service account token is not valid yet'
    const { namespace, serviceaccount, pod } = claims['kubernetes.io'] as PrivateClaims
    const account = this.#state.find('serviceaccounts', { name: serviceaccount.name, namespace })
    if (account?.metadata.uid !== serviceaccount.uid) return 'service account token has been invalidated'
    if (!pod) return undefined
    const stored = this.#state.find('pods', { name: pod.name, namespace })
    const deleted = Date.parse(stored?.metadata.deletionTimestamp ?? '')
    if (stored?.metadata.uid !== pod.uid || deleted < now - LEEWAY_MS) return 'pod is gone'
    return undefined
  }
}

function userOf(claims: Claims): NonNullable<ReviewStatus['user']> {
  const { namespace, serviceaccount, pod, node } = claims['kubernetes.io'] as PrivateClaims
  return {
    username: `system:serviceaccount:${namespace}:${serviceaccount.name}`,
    uid: serviceaccount.uid,
    groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
    extra: {
      [`${EXTRA}credential-id`]: [`JTI=${String(claims['jti'])}`],
      ...(pod && { [`${EXTRA}pod-name`]: [pod.name], [`${EXTRA}pod-uid`]: [pod.uid] }),
      ...(node && { [`${EXTRA}node-name`]: [node.name] }),
      ...(node?.uid !== undefined && { [`${EXTRA}node-uid`]: [node.uid] }),
    },
  }
}

function refused(why: string): ReviewStatus {
  return { authenticated: false, user: {}, error: `[invalid bearer token, ${why}]` }
}
