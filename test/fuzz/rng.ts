/** Repeatable randomness: the same seed gives the same choices, on every machine. Not for keys. */
export class Rng {
  #state: number

  /** @param seed any integer; 32 bits of it count. */
  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** 32 random bits (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }

  /** A whole number from 0 to `bound` - 1; 0 for a `bound` of 0. */
  below(bound: number): number {
    return bound < 1 ? 0 : this.next() % bound
  }

  /** Whether something happens that does so once in `times`. */
  oneIn(times: number): boolean {
    return this.below(times) === 0
  }

  /** One of `choices`, of which there must be at least one. */
  pick<Choice>(choices: readonly Choice[]): Choice {
    if (choices.length === 0) throw new RangeError('nothing to pick from')
    return choices[this.below(choices.length)] as Choice
  }

  /** What `make` makes, `least` to `most` times. */
  list<Item>(least: number, most: number, make: () => Item): Item[] {
    return Array.from({ length: least + this.below(most - least + 1) }, make)
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.next() & 0xff)
  }
}
