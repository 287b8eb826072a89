import type { Lifetime } from '../workloads/ports.ts'

/** One SVID that is to be renewed in time. */
export interface Entry extends Lifetime {
  readonly id: string
  /** When to try next. */
  dueAtMs: number
  /** Never before, whatever hurries: the broker has asked for it, or the last renewal is only just over. */
  notBeforeMs: number
  /** By how much the wall clock was ahead of the monotonic one when the SVID came. */
  readonly wallAheadMs: number
  /** Renewals that failed since the last that succeeded. */
  failures: number
  /** `waiting` for its time, being `renewed`, or without a `token` to ask with. */
  state: 'waiting' | 'renewed' | 'token'
  /** Whether its end has been told. */
  hasEnded: boolean
}

/** Which SVIDs are to be renewed, and when. Data alone: it knows no clock and does nothing by itself. */
export class RenewalQueue {
  readonly #entries = new Map<string, Entry>()

  get size(): number {
    return this.#entries.size
  }

  get(id: string): Entry | undefined {
    return this.#entries.get(id)
  }

  /** A new SVID; takes the place of the one before. */
  put(id: string, lifetime: Lifetime, times: Pick<Entry, 'dueAtMs' | 'notBeforeMs' | 'wallAheadMs'>): void {
    this.#entries.set(id, { id, ...lifetime, ...times, failures: 0, state: 'waiting', hasEnded: false })
  }

  delete(id: string): void {
    this.#entries.delete(id)
  }

  *[Symbol.iterator](): IterableIterator<Entry> {
    yield* this.#entries.values()
  }

  /** Up to `limit` that are due, those that end first before the others. */
  due(nowMs: number, limit: number): Entry[] {
    return [...this.#entries.values()]
      .filter(({ state, dueAtMs }) => state === 'waiting' && dueAtMs <= nowMs)
      .toSorted((a, b) => a.expiresAtMs - b.expiresAtMs)
      .slice(0, limit)
  }

  /** Those that have ended without its being told yet. */
  ended(nowMs: number): Entry[] {
    return [...this.#entries.values()].filter(({ hasEnded, expiresAtMs }) => !hasEnded && expiresAtMs <= nowMs)
  }

  /** When something is to be done next; `Infinity` for never. */
  nextMs(): number {
    let next = Infinity
    for (const { state, dueAtMs, hasEnded, expiresAtMs } of this.#entries.values()) {
      if (state === 'waiting') next = Math.min(next, dueAtMs)
      if (!hasEnded) next = Math.min(next, expiresAtMs)
    }
    return next
  }
}
