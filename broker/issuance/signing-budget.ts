import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { Lanes, type Waiter } from './lanes.ts'

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

/**
 * Whose turn is first, over and over. An agent says itself how urgent an SVID is, and so a few that lie, or a roll-out
 * that does not end, would keep the renewals of all the others waiting, were there no turns for these.
 */
const TURNS: readonly Urgency[] = ['newPod', 'newPod', 'newPod', 'nearExpiry', 'newPod', 'newPod', 'newPod', 'routine']
/** The part of the queue that each urgency has for itself, for the same reason. */
const OWN_PART = 1 / 8
const LEAST_RETRY_MS = 500
const MOST_RETRY_MS = 30_000

/**
 * The global budget of issuance (design §10): so many items at once, then new pods before near expiry before routine,
 * but for a few turns and a part of the queue that the less urgent have for themselves; within an urgency nodes take
 * turns, so that none of them keeps the others waiting, and each node's own go in the order they came. Whoever does not
 * fit is told when to come back. It needs no rate: when the machine is busy, turns come slower, the queue grows, and
 * urgency decides.
 */
export class SigningBudget {
  readonly #clock: Clock
  readonly #limits: BudgetLimits
  readonly #queues: readonly Lanes[] = Object.keys(URGENCY).map(() => new Lanes())
  #turns = 0
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
    const own = this.#limits.maxQueued * OWN_PART
    const isWithinOwn = (this.#queues[level]?.size ?? 0) < Math.floor(own)
    for (let from = this.#queues.length - 1; from >= 0; from -= 1) {
      const queue = this.#queues[from]
      const mayTake = from === level || ((from > level || isWithinOwn) && queue !== undefined && queue.size > own)
      const displaced = mayTake ? queue?.displace(from === level ? queue.lengthOf(lane) + 1 : 0) : undefined
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
    const waiter = this.#first()
    if (waiter) {
      this.#queued -= 1
      waiter.start()
    } else {
      this.#running -= 1
    }
  }

  #first(): Waiter | undefined {
    const favoured = this.#queues[URGENCY[TURNS[this.#turns++ % TURNS.length] ?? 'newPod']]
    for (const queue of [favoured, ...this.#queues]) {
      const waiter = queue?.next()
      if (waiter) return waiter
    }
    return undefined
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
