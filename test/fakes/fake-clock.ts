import type { Clock } from '../../core/runtime/clock.ts'

/** A clock that stands still until a test calls {@link FakeClock.advance}. */
export class FakeClock implements Clock {
  #now: number
  #skew = 0
  #sleepers: { wakeAt: number; wake: () => void }[] = []

  constructor(start = '2026-01-01T00:00:00Z') {
    this.#now = Date.parse(start)
  }

  now(): Date {
    return new Date(this.#now + this.#skew)
  }

  monotonicMs(): number {
    return this.#now
  }

  /** Moves the wall clock alone, as an operator or NTP does; who sleeps is not woken. */
  jump(milliseconds: number): void {
    this.#skew += milliseconds
  }

  sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason as Error)
    return new Promise((wake, reject) => {
      const sleeper = { wakeAt: this.#now + milliseconds, wake }
      this.#sleepers.push(sleeper)
      const giveUp = () => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper)
        reject(signal?.reason as Error)
      }
      signal?.addEventListener('abort', giveUp, { once: true })
    })
  }

  /** Moves time forward, waking each sleeper in order and letting what it does next run. */
  async advance(milliseconds: number): Promise<void> {
    const end = this.#now + milliseconds
    for (;;) {
      const [next] = this.#sleepers.filter(({ wakeAt }) => wakeAt <= end).toSorted((a, b) => a.wakeAt - b.wakeAt)
      if (!next) break
      this.#now = next.wakeAt
      this.#sleepers = this.#sleepers.filter((sleeper) => sleeper !== next)
      next.wake()
      await new Promise((resume) => setImmediate(resume))
    }
    this.#now = end
  }
}
