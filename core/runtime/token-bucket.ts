import type { Clock } from './clock.ts'

export interface RateLimits {
  /** So many at once. */
  readonly burst: number
  /** So many a second in the long run. */
  readonly perSecond: number
}

/** Lets `burst` through at once and `perSecond` in the long run. */
export class TokenBucket {
  readonly #clock: Clock
  readonly #limits: RateLimits
  #tokens: number
  #filledAt: number

  constructor(clock: Clock, limits: RateLimits) {
    this.#clock = clock
    this.#limits = limits
    this.#tokens = limits.burst
    this.#filledAt = clock.monotonicMs()
  }

  /** @returns 0 if `count` went through, else after how many milliseconds they would; then nothing was taken. */
  take(count = 1): number {
    this.#fill()
    if (this.#tokens >= count) {
      this.#tokens -= count
      return 0
    }
    return Math.ceil(((count - this.#tokens) / this.#limits.perSecond) * 1000)
  }

  /**
   * Takes `count` that are gone already, whether they were there or not; what was not is owed, but no more than `maxDebt`.
   *
   * @returns after how many milliseconds nothing is owed any more.
   */
  charge(count: number, maxDebt: number): number {
    this.#fill()
    this.#tokens = Math.max(-maxDebt, this.#tokens - count)
    return this.take(0)
  }

  /** Nothing was taken for so long that a new one would be the same. */
  get isFull(): boolean {
    this.#fill()
    return this.#tokens >= this.#limits.burst
  }

  #fill(): void {
    const now = this.#clock.monotonicMs()
    const { burst, perSecond } = this.#limits
    this.#tokens = Math.min(burst, this.#tokens + ((now - this.#filledAt) / 1000) * perSecond)
    this.#filledAt = now
  }
}

/** A bucket for each of many keys; no more are remembered than fit. */
export class TokenBuckets {
  readonly #clock: Clock
  readonly #limits: RateLimits
  readonly #maxKeys: number
  /** The one asked for longest ago first. */
  readonly #buckets = new Map<string, TokenBucket>()

  constructor(clock: Clock, limits: RateLimits, maxKeys = 100_000) {
    this.#clock = clock
    this.#limits = limits
    this.#maxKeys = maxKeys
  }

  get size(): number {
    return this.#buckets.size
  }

  /** As {@link TokenBucket.take}. */
  take(key: string, count = 1): number {
    return this.#bucketOf(key).take(count)
  }

  /** As {@link TokenBucket.charge}. */
  charge(key: string, count: number, maxDebt: number): number {
    return this.#bucketOf(key).charge(count, maxDebt)
  }

  #bucketOf(key: string): TokenBucket {
    const bucket = this.#buckets.get(key) ?? new TokenBucket(this.#clock, this.#limits)
    this.#buckets.delete(key)
    this.#letGo()
    this.#buckets.set(key, bucket)
    return bucket
  }

  /** The oldest go where they are full again, a few at each call; or where there is no room, full or not. */
  #letGo(): void {
    let looks = 2
    for (const [key, bucket] of this.#buckets) {
      if (this.#buckets.size < this.#maxKeys && (looks === 0 || !bucket.isFull)) return
      looks -= 1
      this.#buckets.delete(key)
    }
  }
}
