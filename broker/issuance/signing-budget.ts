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

/** Those of one urgency that wait: one lane for each who asks, and turns go round the lanes. */
class Queue {
  /** The lane whose turn is next first. */
  readonly #lanes = new Map<string, Waiter[]>()

  push(lane: string, waiter: Waiter): void {
    const waiting = this.#lanes.get(lane)
    if (waiting) waiting.push(waiter)
    else this.#lanes.set(lane, [waiter])
  }

  next(): Waiter | undefined {
    const [first] = this.#lanes
    if (!first) return undefined
    const [lane, waiting] = first
    const waiter = waiting.shift()
    this.#lanes.delete(lane)
    if (waiting.length > 0) this.#lanes.set(lane, waiting)
    return waiter
  }

  /** Takes the newest out of the longest lane, if it is longer than `than`. */
  displace(than: number): Waiter | undefined {
    let longest: readonly [string, Waiter[]] | undefined
    for (const entry of this.#lanes) if (entry[1].length > (longest?.[1].length ?? than)) longest = entry
    if (!longest) return undefined
    const [lane, waiting] = longest
    const waiter = waiting.pop()
    if (waiting.length === 0) this.#lanes.delete(lane)
    return waiter
  }

  lengthOf(lane: string): number {
    return this.#lanes.get(lane)?.length ?? 0
  }

  /** Takes those out that have waited since `tooOld` or longer. */
  *expire(tooOld: number): Generator<Waiter> {
    for (const [lane, waiting] of this.#lanes) {
      const stay = waiting.findIndex(({ since }) => since > tooOld)
      yield* waiting.splice(0, stay === -1 ? waiting.length : stay)
      if (waiting.length === 0) this.#lanes.delete(lane)
    }
  }
}

/**
 * The global budget of issuance (design §10): so many items at once, then new pods before near expiry before routine;
 * within an urgency nodes take turns, so that none of them keeps the others waiting, and each node's own go in the order
 * they came. Whoever does not fit is told when to come back. It needs no rate: when the machine is
 * busy, turns come slower, the queue grows, and urgency decides.
 */
export class SigningBudget {
  readonly #clock: Clock
  readonly #limits: BudgetLimits
  readonly #queues: readonly Queue[] = Object.keys(URGENCY).map(() => new Queue())
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

  /**
   * @param lane who asks: a node, or all who are not known yet together.
   * @throws `IdentityError` `overloaded` with a retry time.
   */
  async run<T>(urgency: Urgency, work: () => Promise<T>, lane = ''): Promise<T> {
    if (this.#running >= this.#limits.maxConcurrent) await this.#turn(URGENCY[urgency], lane)
    else this.#running += 1
    try {
      return await work()
    } finally {
      this.#next()
    }
  }

  #turn(level: number, lane: string): Promise<void> {
    if (this.#queued >= this.#limits.maxQueued && !this.#displace(level, lane)) throw this.#overloaded()
    return new Promise((start, refuse) => {
      this.#queues[level]?.push(lane, { since: this.#clock.monotonicMs(), start, refuse })
      this.#queued += 1
      void this.#sweep()
    })
  }

  /** Sends somebody less urgent than `level` away, or one of a lane that is longer than `lane` will be. */
  #displace(level: number, lane: string): boolean {
    for (let from = this.#queues.length - 1; from >= level; from -= 1) {
      const queue = this.#queues[from]
      const displaced = queue?.displace(from > level ? 0 : queue.lengthOf(lane) + 1)
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
      const waiter = queue.next()
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
        for (const waiter of queue.expire(tooOld)) {
          this.#queued -= 1
          waiter.refuse(this.#overloaded())
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
