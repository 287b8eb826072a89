import { IdentityError } from '../../core/runtime/errors.ts'
import type { AdminUser } from '../admin/admin-user.ts'
import type { ReviewToken } from '../attestation/token-reviewer.ts'
import type { ApiConnection } from './api-connection.ts'
import { reviewStatus } from './token-review.ts'

/** Bounds of what is passed on with each SubjectAccessReview. */
const MAX_GROUPS = 1_000
const MAX_EXTRA = 100

/**
 * TokenReview for callers of the admin API: their audience and no other. Without one the API server would accept its own
 * tokens, and people would send them to the broker.
 */
export function adminTokenReview(api: ApiConnection, audience: string): ReviewToken<AdminUser> {
  return async (token, signal) => readAdminUser(await reviewStatus(api, { token, audience }, signal), audience)
}

/**
 * Who the holder is; `undefined` if the token is not authenticated.
 *
 * @throws {@link IdentityError} `token_rejected` if it is authenticated, but the audience is not echoed (an API server
 *   that does not know audiences leaves it out) or no user is named.
 */
export function readAdminUser(review: unknown, audience: string): AdminUser | undefined {
  const { status } = (review ?? {}) as { status?: Readonly<Record<string, unknown>> | null }
  if (status?.['authenticated'] !== true) return undefined
  const { error, audiences, user } = status
  if (error !== undefined && error !== '') return disbelieve('it carries an error')
  if (!Array.isArray(audiences) || !audiences.includes(audience)) return disbelieve('our audience is not echoed')
  const { username, uid, groups, extra } = (user ?? {}) as Readonly<Record<string, unknown>>
  if (typeof username !== 'string' || username === '') return disbelieve('no user is named')
  return {
    name: username,
    uid: typeof uid === 'string' && uid !== '' ? uid : undefined,
    groups: textsOf(groups ?? [], 'groups'),
    extra: extraOf(extra ?? {}),
  }
}

/** What is not understood is not left out: the authorizer could decide otherwise with it. */
function textsOf(value: unknown, what: string): readonly string[] {
  if (Array.isArray(value) && value.length <= MAX_GROUPS && value.every((text) => typeof text === 'string'))
    return value
  return disbelieve(`its ${what} are no list of texts`)
}

function extraOf(value: unknown): Record<string, readonly string[]> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return disbelieve('its extra is no map')
  const entries = Object.entries(value)
  if (entries.length > MAX_EXTRA) return disbelieve('its extra has too many keys')
  return Object.fromEntries(entries.map(([name, texts]) => [name, textsOf(texts, 'extra')]))
}

function disbelieve(why: string): never {
  throw new IdentityError('token_rejected', 'the API server does not vouch for who the caller is', {
    cause: new Error(`TokenReview: ${why}`),
  })
}
