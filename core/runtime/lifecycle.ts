import type { Clock } from './clock.ts'
import { IdentityError } from './errors.ts'

/** How one part stops. */
type Stop = () => void | Promise<void>

/**
 * Parts that were started in order and stop in reverse, each exactly once, all within one deadline.
 */
export class Lifecycle {
  readonly #clock: Clock
  readonly #parts: { name: string; stop: Stop }[] = []
  readonly #stopping = new AbortController()
  #stopped: Promise<readonly string[]> | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Aborted, with `shutting_down`, as soon as stopping begins. */
  get signal(): AbortSignal {
    return this.#stopping.signal
  }

  /** Remembers how to stop a part that has just been started. */
  add(name: string, stop: Stop): void {
    this.#parts.push({ name, stop })
  }

  /**
   * Stops all parts, the newest first.
   *
   * @returns the names of the parts that failed to stop, or not within `deadlineMs`.
   */
  stop(deadlineMs: number): Promise<readonly string[]> {
    this.#stopped ??= this.#stopAll(deadlineMs)
    return this.#stopped
  }

  async #stopAll(deadlineMs: number): Promise<readonly string[]> {
    this.#stopping.abort(new IdentityError('shutting_down', 'the program is stopping; connect again'))
    const failed: string[] = []
    const end = this.#clock.monotonicMs() + deadlineMs
    for (const { name, stop } of this.#parts.toReversed()) {
      const timer = new AbortController()
      const left = Math.max(0, end - this.#clock.monotonicMs())
      const late = this.#clock.sleep(left, timer.signal).then(
        () => Promise.reject(new Error('deadline')),
        () => {},
      )
      try {
        await Promise.race([Promise.resolve().then(stop), late])
      } catch {
        failed.push(name)
      }
      timer.abort()
    }
    return failed
  }
}
