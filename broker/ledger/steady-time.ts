import type { Clock } from '../../core/runtime/clock.ts'

/** By so much the wall clock may be set right without anybody's noticing. */
const JUMP_MS = 5 * 60_000
/** A clock that is wrong is set right within minutes, mostly. */
const STEADY_MS = 60 * 60_000

/**
 * Whether the wall clock is to be believed where a mistake cannot be mended: after a jump, once it has gone for an hour as
 * the monotonic one does. To one that was set forward by years the whole ledger would be old. As the program starts it is
 * believed: a ledger that is full must get room at once.
 */
export class SteadyTime {
  readonly #clock: Clock
  #aheadMs: number
  #sinceMs: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#aheadMs = aheadMs(clock)
    this.#sinceMs = clock.monotonicMs() - STEADY_MS
  }

  /** To be asked again and again: a jump back and forth between two questions is not seen. */
  isSteady(): boolean {
    const now = aheadMs(this.#clock)
    if (Math.abs(now - this.#aheadMs) > JUMP_MS) {
      this.#aheadMs = now
      this.#sinceMs = this.#clock.monotonicMs()
    }
    return this.#clock.monotonicMs() - this.#sinceMs >= STEADY_MS
  }
}

function aheadMs(clock: Clock): number {
  return clock.now().getTime() - clock.monotonicMs()
}
