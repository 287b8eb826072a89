import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { type RateLimits, TokenBuckets } from '../../core/runtime/token-bucket.ts'
import type { TokenPrecheck } from '../attestation/token-precheck.ts'
import type { TokenReviewer } from '../attestation/token-reviewer.ts'
import type { AdminUser } from './admin-user.ts'

/** Few people ask at a time; what a flood gets past the local check waits here and not in the way of pods. */
export const ADMIN_REVIEW_LIMITS = { maxConcurrent: 4, maxQueued: 64, timeoutMs: 10_000, maxCached: 1_000 }

/**
 * Calls with tokens of one ServiceAccount, as many as one user may make, but counted before the API server is asked: the
 * command makes a token each time, and whoever may make any number of them would keep the others waiting.
 */
const REVIEWS: RateLimits = { burst: 100, perSecond: 20 }
const MAX_USERS = 10_000

interface Dependencies {
  readonly clock: Clock
  /** For the admin audience. */
  readonly precheck: Pick<TokenPrecheck, 'checkAs'>
  readonly reviewer: Pick<TokenReviewer<AdminUser>, 'review'>
}

/**
 * Who the holder of a bearer token is: the token is checked locally first (shape, issuer, audience, times, signature of
 * the cluster), so that junk never reaches the API server, and then the API server says who it is.
 */
export function userOfToken({ clock, precheck, reviewer }: Dependencies) {
  const reviews = new TokenBuckets(clock, REVIEWS, MAX_USERS)
  return async (token: string, signal: AbortSignal): Promise<AdminUser> => {
    const subject = await precheck.checkAs(({ sub }) => sub, token, signal)
    const retryAfterMs = reviews.take(String(subject))
    if (retryAfterMs > 0) throw new IdentityError('overloaded', 'too many tokens of one user', { retryAfterMs })
    const user = await reviewer.review(token, signal)
    if (user.name === subject) return user
    // Only ServiceAccounts' tokens are signed by the cluster's keys, and their subject is their user name.
    throw new IdentityError('token_rejected', 'the API server does not vouch for who the caller is', {
      cause: new Error('TokenReview: the user is not the subject of the token'),
    })
  }
}
