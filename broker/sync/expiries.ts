import type { Clock } from '../../core/runtime/clock.ts'

/** It is looked this often: an end may come so much late, also after the clock has jumped. */
const LOOK_EVERY_MS = 1_000

interface Dependencies<T> {
  readonly clock: Clock
  /** By which of the clock's times ends are given. */
  readonly nowMs: () => number
  /** Must not throw. */
  readonly expire: (item: T) => void
}

/**
 * What ends at a moment of its own, thousands of them, over one timer. A timer with its signal and promises for each
 * connection is worth some KiB that stay as long as the connection does.
 */
export class Expiries<T> {
  readonly #deps: Dependencies<T>
  readonly #ends = new Map<T, number>()
  #isLooking = false

  constructor(deps: Dependencies<T>) {
    this.#deps = deps
  }

  add(item: T, endMs: number): void {
    this.#ends.set(item, endMs)
    if (!this.#isLooking) void this.#look()
  }

  delete(item: T): void {
    this.#ends.delete(item)
  }

  async #look(): Promise<void> {
    const { clock, nowMs, expire } = this.#deps
    this.#isLooking = true
    while (this.#ends.size > 0) {
      const now = nowMs()
      let waitMs = LOOK_EVERY_MS
      for (const [item, endMs] of this.#ends) {
        const leftMs = endMs - now
        if (leftMs > 0) waitMs = Math.min(waitMs, leftMs)
        else {
          this.#ends.delete(item)
          expire(item)
        }
      }
      await clock.sleep(waitMs)
    }
    this.#isLooking = false
  }
}
