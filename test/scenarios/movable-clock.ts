import type { Clock } from '../../core/runtime/clock.ts'
import { systemClock } from '../../core/runtime/system-clock.ts'

/**
 * The machine's time, which a test moves forward besides: what is due within minutes is seen at once, and has as long to
 * be done as a slow machine needs.
 *
 * All moves together have to stay below the minute by which certificates are back-dated: TLS goes by the machine's time,
 * and refuses what is not valid yet.
 */
export class MovableClock implements Clock {
  #aheadMs = 0
  #moved = new AbortController()

  now(): Date {
    return new Date(systemClock.now().getTime() + this.#aheadMs)
  }

  monotonicMs(): number {
    return systemClock.monotonicMs() + this.#aheadMs
  }

  async sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
    const end = this.monotonicMs() + milliseconds
    do {
      const woken = AbortSignal.any([this.#moved.signal, ...(signal ? [signal] : [])])
      await systemClock.sleep(end - this.monotonicMs(), woken).catch(() => signal?.throwIfAborted())
    } while (this.monotonicMs() < end)
  }

  /** Wakes whoever would have been woken within `milliseconds`. */
  moveForward(milliseconds: number): void {
    this.#aheadMs += milliseconds
    const moved = this.#moved
    this.#moved = new AbortController()
    moved.abort()
  }
}
