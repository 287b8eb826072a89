import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'

/** How urgently an SVID is needed: the lower comes first. */
export const URGENCY = { newPod: 0, nearExpiry: 1, routine: 2 } as const
export type Urgency = keyof typeof URGENCY

export interface BudgetLimits {
  /** Items that are worked on at the same time. */
  readonly maxConcurrent: number
  /** Items that wait for their turn; the least urgent of more are sent away. */
  readonly maxQueued: number
  /** Longest wait: an agent is better served by a time to come back than by an answer that nobody waits for. */
  readonly maxWaitMs: number
}

interface Waiter {
  readonly since: number
  readonly start: () => void
  readonly refuse: (error: Error) => void
}

const LEAST_RETRY_MS = 500
const MOST_RETRY_MS = 30_000

/**
 * The global budget of issuance (design §10): so many items at once, then new pods before near expiry before routine,
 * each in the order they came; whoever does not fit is told when to come back. It needs no rate: when the machine is
 * busy, turns come slower, the queue grows, and urgency decides.
 */
export class SigningBudget {
  readonly #clock: Clock
  readonly #limits: BudgetLimits
  readonly #queues: readonly Waiter[][] = Object.keys(URGENCY).map(() => [])
  #running = 0
  #queued = 0
  /** Smoothed milliseconds between two turns, for retry times. */
  #turnMs = 1
  #lastTurn = 0
  #isSweeping = false

  constructor(clock: Clock, limits: BudgetLimits) {
    this.#clock = clock
    this.#limits = limits
  }

  get queued(): number {
    return this.#queued
  }

  /** @throws `IdentityError` `overloaded` with a retry time. */
  async run<T>(urgency: Urgency, work: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#limits.maxConcurrent) await this.#turn(URGENCY[urgency])
    else this.#running += 1
    try {
      return await work()
    } finally {
      this.#next()
    }
  }

  #turn(level: number): Promise<void> {
    if (this.#queued >= this.#limits.maxQueued && !this.#displaceBelow(level)) throw this.#overloaded()
    return new Promise((start, refuse) => {
      this.#queues[level]?.push({ since: this.#clock.monotonicMs(), start, refuse })
      this.#queued += 1
      void this.#sweep()
    })
  }

  /** Sends the newest of the least urgent away, if it is less urgent than `level`. */
  #displaceBelow(level: number): boolean {
    for (let below = this.#queues.length - 1; below > level; below -= 1) {
      const displaced = this.#queues[below]?.pop()
      if (displaced) {
        this.#queued -= 1
        displaced.refuse(this.#overloaded())
        return true
      }
    }
    return false
  }

  #next(): void {
    const now = this.#clock.monotonicMs()
    if (this.#lastTurn > 0) this.#turnMs += (Math.min(now - this.#lastTurn, 1000) - this.#turnMs) / 32
    this.#lastTurn = now
    for (const queue of this.#queues) {
      const waiter = queue.shift()
      if (waiter) {
        this.#queued -= 1
        waiter.start()
        return
      }
    }
    this.#running -= 1
  }

  /** While anybody waits, looks every now and then for those who have waited too long. */
  async #sweep(): Promise<void> {
    if (this.#isSweeping) return
    this.#isSweeping = true
    while (this.#queued > 0) {
      await this.#clock.sleep(this.#limits.maxWaitMs / 4)
      const tooOld = this.#clock.monotonicMs() - this.#limits.maxWaitMs
      for (const queue of this.#queues) {
        while (queue[0] && queue[0].since <= tooOld) {
          const waiter = queue.shift()
          this.#queued -= 1
          waiter?.refuse(this.#overloaded())
        }
      }
    }
    this.#isSweeping = false
  }

  #overloaded(): IdentityError {
    const retryAfterMs = Math.min(MOST_RETRY_MS, Math.max(LEAST_RETRY_MS, this.#queued * this.#turnMs))
    return new IdentityError('overloaded', 'more SVIDs are asked for than can be signed now; come back later', {
      retryAfterMs: Math.round(retryAfterMs),
    })
  }
}
