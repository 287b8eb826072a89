/** Somebody who waits for a turn. */
export interface Waiter {
  readonly since: number
  readonly start: () => void
  readonly refuse: (error: Error) => void
}

/** Those of one urgency that wait: one lane for each who asks, and turns go round the lanes. */
export class Lanes {
  /** The lane whose turn is next first. */
  readonly #lanes = new Map<string, Waiter[]>()
  #size = 0

  get size(): number {
    return this.#size
  }

  push(lane: string, waiter: Waiter): void {
    this.#size += 1
    const waiting = this.#lanes.get(lane)
    if (waiting) waiting.push(waiter)
    else this.#lanes.set(lane, [waiter])
  }

  next(): Waiter | undefined {
    const [first] = this.#lanes
    if (!first) return undefined
    const [lane, waiting] = first
    const waiter = waiting.shift()
    this.#size -= 1
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
    this.#size -= 1
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
      const expired = waiting.splice(0, stay === -1 ? waiting.length : stay)
      this.#size -= expired.length
      if (waiting.length === 0) this.#lanes.delete(lane)
      yield* expired
    }
  }
}
