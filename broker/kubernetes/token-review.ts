import { IdentityError } from '../../core/runtime/errors.ts'
import type { ReviewedToken, ReviewToken } from '../attestation/token-reviewer.ts'
import type { ApiConnection } from './api-connection.ts'
import { parseJson } from './json.ts'

const PATH = '/apis/authentication.k8s.io/v1/tokenreviews'
const EXTRA = 'authentication.kubernetes.io/'

/** The parts of TokenReview's status (authentication.k8s.io/v1) that are looked at. */
interface Status {
  readonly authenticated?: unknown
  readonly error?: unknown
  readonly audiences?: unknown
  readonly user?: { readonly username?: unknown; readonly uid?: unknown; readonly extra?: unknown }
}

/** TokenReview for one audience. Without one the API server would accept each of its own tokens. */
export function tokenReview(api: ApiConnection, audience: string): ReviewToken {
  return async (token, signal) => readTokenReview(await reviewStatus(api, { token, audience }, signal), audience)
}

/** The API server's answer. It repeats the token, and so is quoted nowhere (invariant 6). */
export async function reviewStatus(
  api: ApiConnection,
  { token, audience }: { readonly token: string; readonly audience: string },
  signal: AbortSignal,
): Promise<unknown> {
  const review = {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenReview',
    spec: { token, audiences: [audience] },
  }
  const response = await api.send({ method: 'POST', path: PATH, body: JSON.stringify(review) }, signal)
  if (response.status !== 201 && response.status !== 200) {
    throw new IdentityError('kubernetes_unavailable', `the API server answers ${response.status} to a TokenReview`, {
      retryAfterMs: 1000,
    })
  }
  return parseJson(response.body)
}

/**
 * What a TokenReview vouches for; `undefined` if the token is not authenticated.
 *
 * Invariant 3: an API server that does not know audiences leaves `status.audiences` empty, and authenticators other than
 * ServiceAccounts' may accept our audience too. So audience, username, pod, node and token ID must all be there.
 *
 * @throws {@link IdentityError} `token_rejected` if it is authenticated, but not all of that is said.
 */
export function readTokenReview(review: unknown, audience: string): ReviewedToken | undefined {
  const status = (review as { status?: Status } | null)?.status
  if (status?.authenticated !== true) return undefined
  if (status.error !== undefined && status.error !== '') return disbelieve('it carries an error')
  if (!Array.isArray(status.audiences) || !status.audiences.includes(audience)) {
    return disbelieve('our audience is not echoed')
  }
  const { username, uid, extra } = status.user ?? {}
  // Exactly four parts: a name has no colon, so that nothing else can be spelled like a ServiceAccount's.
  const [system, kind, namespace, serviceAccount, ...rest] = typeof username === 'string' ? username.split(':') : []
  if (system !== 'system' || kind !== 'serviceaccount' || !namespace || !serviceAccount || rest.length > 0) {
    return disbelieve('the user is not a ServiceAccount')
  }
  if (typeof uid !== 'string' || uid === '') return disbelieve('the ServiceAccount has no UID')

  const credential = extraOf(extra, 'credential-id')
  if (!credential.startsWith('JTI=')) return disbelieve('credential-id is not a JTI')
  return {
    namespace,
    serviceAccount,
    serviceAccountUid: uid,
    podName: extraOf(extra, 'pod-name'),
    podUid: extraOf(extra, 'pod-uid'),
    nodeName: extraOf(extra, 'node-name'),
    nodeUid: extraOf(extra, 'node-uid'),
    tokenId: credential.slice('JTI='.length),
  }
}

/** Each is a list of exactly one text. */
function extraOf(extra: unknown, name: string): string {
  const values = (extra as Record<string, unknown> | null | undefined)?.[EXTRA + name]
  const [value] = Array.isArray(values) && values.length === 1 ? (values as unknown[]) : []
  return typeof value === 'string' && value !== '' ? value : disbelieve(`${name} is missing`)
}

function disbelieve(why: string): never {
  throw new IdentityError('token_rejected', 'the API server does not vouch for what the token says', {
    cause: new Error(`TokenReview: ${why}`),
  })
}
