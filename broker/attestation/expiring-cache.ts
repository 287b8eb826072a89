import type { Clock } from '../../core/runtime/clock.ts'

/** Bounds of a cache: time and entries always, and bytes of values that may be large. */
export interface CacheBounds<V> {
  readonly ttlMs: number
  readonly maxEntries: number
  readonly bytes?: { readonly of: (value: V) => number; readonly max: number }
}

/**
 * What was learned a short while ago. All entries live equally long, so that the oldest is the next to expire: it goes
 * first when the cache is full.
 */
export class ExpiringCache<V> {
  readonly #clock: Clock
  readonly #bounds: CacheBounds<V>
  readonly #entries = new Map<string, { value: V; expiresAtMs: number; bytes: number }>()
  #bytes = 0

  constructor(clock: Clock, bounds: CacheBounds<V>) {
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
    this.#delete(key)
    return undefined
  }

  /** @param learnedAtMs when it was true, on the monotonic clock: before the question was asked, not after the answer. */
  set(key: string, value: V, learnedAtMs: number): void {
    this.#delete(key)
    const bytes = this.#bounds.bytes?.of(value) ?? 0
    this.#entries.set(key, { value, expiresAtMs: learnedAtMs + this.#bounds.ttlMs, bytes })
    this.#bytes += bytes
    this.#dropOld()
  }

  get #isWithinBounds(): boolean {
    const { maxEntries, bytes } = this.#bounds
    return this.#entries.size <= maxEntries && this.#bytes <= (bytes?.max ?? 0)
  }

  #delete(key: string): void {
    this.#bytes -= this.#entries.get(key)?.bytes ?? 0
    this.#entries.delete(key)
  }

  #dropOld(): void {
    const now = this.#clock.monotonicMs()
    for (const [key, { expiresAtMs }] of this.#entries) {
      if (expiresAtMs > now && this.#isWithinBounds) return
      this.#delete(key)
    }
  }
}
