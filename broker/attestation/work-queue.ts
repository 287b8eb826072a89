import { IdentityError } from '../../core/runtime/errors.ts'
import { orAborted } from './deadline.ts'

/** How much runs and waits at a time. */
export interface WorkBounds {
  readonly maxConcurrent: number
  readonly maxQueued: number
  /** What is said to those for whom there is no room. */
  readonly fullMessage?: string
}

/** Runs so much at a time, in the order asked, and lets so much wait; more is refused at once. */
export class WorkQueue {
  readonly #bounds: WorkBounds
  readonly #waiting = new Set<() => void>()
  #running = 0

  constructor(bounds: WorkBounds) {
    this.#bounds = bounds
  }

  get isIdle(): boolean {
    return this.#running === 0
  }

  /** @throws {@link IdentityError} `overloaded`, or the reason of `signal` if it is aborted while waiting. */
  async run<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    if (this.#running >= this.#bounds.maxConcurrent) await this.#turn(signal)
    else this.#running += 1
    try {
      return await work()
    } finally {
      this.#next()
    }
  }

  async #turn(signal: AbortSignal): Promise<void> {
    const { maxQueued, fullMessage = 'too many reviews wait for the API server' } = this.#bounds
    if (this.#waiting.size >= maxQueued) {
      throw new IdentityError('overloaded', fullMessage, { retryAfterMs: 1000 })
    }
    let start: () => void = () => {}
    const turn = new Promise<void>((resolve) => {
      start = resolve
      this.#waiting.add(start)
    })
    try {
      await orAborted(turn, signal)
    } catch (error) {
      // Where the turn came in the same moment, it is handed on.
      if (!this.#waiting.delete(start)) this.#next()
      throw error
    }
  }

  /** Whoever waits longest takes over the place of the one that has ended. */
  #next(): void {
    const [start] = this.#waiting
    if (start) {
      this.#waiting.delete(start)
      start()
    } else this.#running -= 1
  }
}
