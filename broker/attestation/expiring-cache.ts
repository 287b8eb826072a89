import type { Clock } from '../../core/runtime/clock.ts'

/** Bounds of a cache: both of them always. */
export interface CacheBounds {
  readonly ttlMs: number
  readonly maxEntries: number
}

/**
 * What was learned a short while ago. All entries live equally long, so that the oldest is the next to expire: it goes
 * first when the cache is full.
 */
export class ExpiringCache<V> {
  readonly #clock: Clock
  readonly #bounds: CacheBounds
  readonly #entries = new Map<string, { value: V; expiresAtMs: number }>()

  constructor(clock: Clock, bounds: CacheBounds) {
    this.#clock = clock
    this.#bounds = bounds
  }

  get size(): number {
    return this.#entries.size
  }

  get(key: string): V | undefined {
    const entry = this.#entries.get(key)
    if (!entry) return undefined
    if (entry.expiresAtMs > this.#clock.monotonicMs()) return entry.value
    this.#entries.delete(key)
    return undefined
  }

  /** @param learnedAtMs when it was true, on the monotonic clock: before the question was asked, not after the answer. */
  set(key: string, value: V, learnedAtMs: number): void {
    this.#entries.delete(key)
    this.#entries.set(key, { value, expiresAtMs: learnedAtMs + this.#bounds.ttlMs })
    this.#dropOld()
  }

  #dropOld(): void {
    const now = this.#clock.monotonicMs()
    for (const [key, { expiresAtMs }] of this.#entries) {
      if (expiresAtMs > now && this.#entries.size <= this.#bounds.maxEntries) return
      this.#entries.delete(key)
    }
  }
}
