import { hash } from 'node:crypto'
import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { TokenFacts } from './attested.ts'
import { orAborted } from './deadline.ts'
import { Deadlines } from './deadlines.ts'
import { ExpiringCache } from './expiring-cache.ts'
import { WorkQueue } from './work-queue.ts'

/** What the API server says about a token that it accepts for our audience. */
export type ReviewedToken = TokenFacts

/**
 * Asks the API server about a token: `undefined` if it does not accept it for our audience.
 *
 * @throws {@link IdentityError} `token_rejected` if it does, but does not vouch for all that {@link TokenFacts} holds;
 *   `kubernetes_unavailable`.
 */
export type ReviewToken<T = ReviewedToken> = (token: string, signal: AbortSignal) => Promise<T | undefined>

/** Bounds of asking. */
export interface ReviewLimits {
  readonly maxConcurrent: number
  readonly maxQueued: number
  /** For one review, the wait for its turn included. */
  readonly timeoutMs: number
  readonly maxCached: number
}

export const REVIEW_LIMITS: ReviewLimits = { maxConcurrent: 32, maxQueued: 1000, timeoutMs: 10_000, maxCached: 10_000 }

/** For the agents' own tokens, apart from pods': what one node that was taken over asks delays no pod of another. */
export const NODE_REVIEW_LIMITS: ReviewLimits = { ...REVIEW_LIMITS, maxConcurrent: 8 }

/** As long as the API server's own cache (design §10): together a deleted pod's token lives at most 20 s longer. */
const ACCEPTED_TTL_MS = 10_000
/** Just enough that retries in a loop do not reach the API server. */
const REFUSED_TTL_MS = 1_000

interface Flight<T> {
  readonly answer: Promise<T>
  readonly stop: AbortController
  waiters: number
}

/**
 * Asks the API server about tokens, each once for all who ask at the same time, so many at a time, and remembers the
 * answer for seconds. Refused tokens are remembered apart, so that they displace no accepted one.
 */
export class TokenReviewer<T = ReviewedToken> {
  readonly #review: ReviewToken<T>
  readonly #clock: Clock
  readonly #deadlines: Deadlines
  readonly #queue: WorkQueue
  readonly #accepted: ExpiringCache<T>
  readonly #refused: ExpiringCache<IdentityError>
  readonly #flights = new Map<string, Flight<T>>()

  constructor(
    { review, clock }: { readonly review: ReviewToken<T>; readonly clock: Clock },
    limits: ReviewLimits = REVIEW_LIMITS,
  ) {
    this.#review = review
    this.#clock = clock
    this.#deadlines = new Deadlines(clock, limits.timeoutMs)
    this.#queue = new WorkQueue(limits)
    this.#accepted = new ExpiringCache(clock, { ttlMs: ACCEPTED_TTL_MS, maxEntries: limits.maxCached })
    this.#refused = new ExpiringCache(clock, { ttlMs: REFUSED_TTL_MS, maxEntries: limits.maxCached })
  }

  /**
   * @throws {@link IdentityError} `token_rejected`, `overloaded`, `kubernetes_unavailable`; the reason of `signal`.
   */
  async review(token: string, signal: AbortSignal): Promise<T> {
    const key = hash('sha256', token, 'base64url')
    const accepted = this.#accepted.get(key)
    if (accepted) return accepted
    const refusal = this.#refused.get(key)
    if (refusal) throw refusal
    signal.throwIfAborted()

    const flight = this.#flights.get(key) ?? this.#takeOff(key, token)
    flight.waiters += 1
    try {
      return await orAborted(flight.answer, signal)
    } finally {
      flight.waiters -= 1
      if (flight.waiters === 0 && this.#flights.get(key) === flight) {
        // Nobody waits any more for what is still in the air: whoever comes now starts anew.
        this.#flights.delete(key)
        flight.stop.abort()
      }
    }
  }

  #takeOff(key: string, token: string): Flight<T> {
    const stop = new AbortController()
    const flight: Flight<T> = { answer: this.#ask(key, token, stop), stop, waiters: 0 }
    this.#flights.set(key, flight)
    return flight
  }

  async #ask(key: string, token: string, stop: AbortController): Promise<T> {
    const clock = this.#clock
    let askedAtMs = clock.monotonicMs()
    const ask = () => {
      askedAtMs = clock.monotonicMs()
      return orAborted(this.#review(token, stop.signal), stop.signal)
    }
    const callOff = this.#deadlines.start(() => stop.abort(late()))
    try {
      const reviewed = await this.#queue.run(ask, stop.signal)
      if (!reviewed) throw new IdentityError('token_rejected', 'the API server does not accept the token')
      this.#accepted.set(key, reviewed, askedAtMs)
      return reviewed
    } catch (error) {
      if (error instanceof IdentityError && error.code === 'token_rejected') this.#refused.set(key, error, askedAtMs)
      throw error
    } finally {
      callOff()
      if (this.#flights.get(key)?.stop === stop) this.#flights.delete(key)
    }
  }
}

function late(): IdentityError {
  return new IdentityError('kubernetes_unavailable', 'the review did not come in time', { retryAfterMs: 1000 })
}
