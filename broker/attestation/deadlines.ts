import type { Clock } from '../../core/runtime/clock.ts'

/** The timer looks so often at least, so that it holds up the end of the program no longer than this. */
const LONGEST_SLEEP_MS = 1_000

interface Wait {
  readonly endsAtMs: number
  readonly expire: () => void
}

/**
 * Deadlines of one length over one timer. A timer of its own for each review would cost as much as an eighth of an
 * issuance; nearly all of them are called off.
 */
export class Deadlines {
  readonly #clock: Clock
  readonly #timeoutMs: number
  /** In the order of their ends, since all are equally long. */
  readonly #waits = new Set<Wait>()
  #running = false

  constructor(clock: Clock, timeoutMs: number) {
    this.#clock = clock
    this.#timeoutMs = timeoutMs
  }

  /**
   * Calls `expire`, which must not throw, when the time is over.
   *
   * @returns what calls it off.
   */
  start(expire: () => void): () => void {
    const wait: Wait = { endsAtMs: this.#clock.monotonicMs() + this.#timeoutMs, expire }
    this.#waits.add(wait)
    if (!this.#running) void this.#run()
    return () => void this.#waits.delete(wait)
  }

  async #run(): Promise<void> {
    this.#running = true
    for (;;) {
      const [next] = this.#waits
      if (!next) break
      const leftMs = next.endsAtMs - this.#clock.monotonicMs()
      if (leftMs > 0) await this.#clock.sleep(Math.min(leftMs, LONGEST_SLEEP_MS))
      else {
        this.#waits.delete(next)
        next.expire()
      }
    }
    this.#running = false
  }
}
