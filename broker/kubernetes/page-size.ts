/** After so many pages that could be read, the next is asked to hold twice as much. */
const GOOD_PAGES = 4

/** How many objects a page is asked to hold: few where objects are large, and by and by as many as before where they end. */
export class PageSize {
  readonly #most: number
  #limit: number
  #good = 0

  constructor(most: number) {
    this.#most = most
    this.#limit = most
  }

  get limit(): number {
    return this.#limit
  }

  /** @returns whether a smaller page can be asked for. */
  tooLarge(): boolean {
    const before = this.#limit
    this.#limit = Math.max(1, Math.floor(before / 4))
    this.#good = 0
    return this.#limit < before
  }

  wasRead(): void {
    this.#good += 1
    if (this.#good < GOOD_PAGES) return
    this.#limit = Math.min(this.#most, this.#limit * 2)
    this.#good = 0
  }
}
