import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { orAborted, withDeadline } from './deadline.ts'
import { readJsonWebKeys, type SigningKey } from './json-web-keys.ts'

/** Where a cluster's JWK Set comes from: its API server, or a file. */
export type FetchJwks = (signal: AbortSignal) => Promise<unknown>

/** When keys are fetched again. */
export interface KeyRefresh {
  /** Keys older than this are fetched again in the background while they still serve. */
  readonly freshMs: number
  /** Keys older than this serve nobody: the longest time that a key which has left the JWKS is still believed. */
  readonly staleMs: number
  /** The least time between two fetches, whatever tokens name: forged ones name keys that nobody has. */
  readonly leastIntervalMs: number
  readonly timeoutMs: number
}

const REFRESH: KeyRefresh = { freshMs: 60_000, staleMs: 300_000, leastIntervalMs: 5_000, timeoutMs: 5_000 }

const UNREADABLE = "the cluster's signing keys cannot be read"

/** What {@link SigningKeys} works with. */
export interface SigningKeysDependencies {
  readonly fetchJwks: FetchJwks
  readonly clock: Clock
  /** Told of a fetch in the background that failed; the keys at hand serve on until they are stale. */
  readonly onRefreshFailed?: (error: unknown) => void
}

/** The keys that a cluster signs its tokens with, kept fresh. */
export class SigningKeys {
  readonly #dependencies: SigningKeysDependencies
  readonly #refresh: KeyRefresh
  #keys: ReadonlyMap<string, SigningKey> = new Map()
  #fetchedAtMs = Number.NEGATIVE_INFINITY
  #askedAtMs = Number.NEGATIVE_INFINITY
  #failure: unknown
  #fetching: Promise<void> | undefined

  constructor(dependencies: SigningKeysDependencies, refresh: KeyRefresh = REFRESH) {
    this.#dependencies = dependencies
    this.#refresh = refresh
  }

  /**
   * The key named `keyId`, without waiting: `undefined` if it is not at hand, and {@link find} has to be asked.
   */
  current(keyId: string): SigningKey | undefined {
    const ageMs = this.#dependencies.clock.monotonicMs() - this.#fetchedAtMs
    if (ageMs > this.#refresh.staleMs) return undefined
    this.#refreshIfDue(ageMs)
    return this.#keys.get(keyId)
  }

  /** Fetches them before anybody asks. @throws what the fetch throws; {@link find} tries again. */
  load(): Promise<void> {
    return this.#fetch()
  }

  /** Why no token can be judged now, or `undefined`. Where a fetch is due it is begun: each probe may be what mends it. */
  problem(): string | undefined {
    const ageMs = this.#dependencies.clock.monotonicMs() - this.#fetchedAtMs
    this.#refreshIfDue(ageMs)
    return ageMs > this.#refresh.staleMs ? UNREADABLE : undefined
  }

  #refreshIfDue(ageMs: number): void {
    if (ageMs <= this.#refresh.freshMs || !this.#mayFetch()) return
    this.#fetch().catch((error: unknown) => this.#dependencies.onRefreshFailed?.(error))
  }

  /**
   * The key named `keyId`; `undefined` if the cluster has none of that name. Fetches once for all who wait, and not more
   * often than the least interval allows.
   *
   * @throws {@link IdentityError} `kubernetes_unavailable` if there are no keys that are fresh enough.
   */
  async find(keyId: string, signal: AbortSignal): Promise<SigningKey | undefined> {
    const key = this.current(keyId)
    if (key) return key
    if (this.#fetching || this.#mayFetch()) {
      await orAborted(this.#fetch(), signal).catch((error: unknown) => {
        if (signal.aborted) throw error
      })
    }
    const { clock } = this.#dependencies
    if (clock.monotonicMs() - this.#fetchedAtMs > this.#refresh.staleMs) throw this.#unavailable()
    return this.#keys.get(keyId)
  }

  #mayFetch(): boolean {
    return this.#dependencies.clock.monotonicMs() - this.#askedAtMs >= this.#refresh.leastIntervalMs
  }

  #fetch(): Promise<void> {
    this.#fetching ??= this.#fetchOnce().finally(() => {
      this.#fetching = undefined
    })
    return this.#fetching
  }

  async #fetchOnce(): Promise<void> {
    const { clock, fetchJwks } = this.#dependencies
    const askedAtMs = clock.monotonicMs()
    this.#askedAtMs = askedAtMs
    try {
      const late = () =>
        new IdentityError('kubernetes_unavailable', 'the signing keys of the cluster did not come in time')
      this.#keys = readJsonWebKeys(await withDeadline({ clock, timeoutMs: this.#refresh.timeoutMs }, fetchJwks, late))
      this.#fetchedAtMs = askedAtMs
      this.#failure = undefined
    } catch (error) {
      this.#failure = error
      throw error
    }
  }

  #unavailable(): IdentityError {
    const leftMs = this.#askedAtMs + this.#refresh.leastIntervalMs - this.#dependencies.clock.monotonicMs()
    const asked = this.#failure instanceof IdentityError ? (this.#failure.retryAfterMs ?? 0) : 0
    return new IdentityError('kubernetes_unavailable', UNREADABLE, {
      retryAfterMs: Math.max(leftMs, asked, 100),
      cause: this.#failure,
    })
  }
}
