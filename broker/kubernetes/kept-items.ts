import { IdentityError } from '../../core/runtime/errors.ts'

/** The most that is kept of a collection. */
export interface KeepingBounds<T> {
  readonly maxItems: number
  /** Of what others may make as large as they like. */
  readonly bytes?: { readonly of: (item: T) => number; readonly max: number }
}

/** What is kept of the objects of a collection, within bounds. */
export class KeptItems<T> {
  readonly #bounds: KeepingBounds<T>
  readonly #items = new Map<string, T>()
  #bytes = 0

  constructor(bounds: KeepingBounds<T>) {
    this.#bounds = bounds
  }

  get items(): ReadonlyMap<string, T> {
    return this.#items
  }

  /** @throws {@link IdentityError} `overloaded` if there is no room for it; what was kept stays. */
  put(key: string, item: T): void {
    const { maxItems, bytes } = this.#bounds
    if (!this.#items.has(key) && this.#items.size >= maxItems) {
      throw tooMuch(`there are more than ${maxItems} objects`)
    }
    const taken = this.#bytes - this.#bytesAt(key) + (bytes?.of(item) ?? 0)
    if (bytes && taken > bytes.max) {
      throw tooMuch(`what is kept of the objects takes more than ${bytes.max / 1024 / 1024} MiB`)
    }
    this.#items.set(key, item)
    this.#bytes = taken
  }

  /** @returns whether it was there. */
  delete(key: string): boolean {
    this.#bytes -= this.#bytesAt(key)
    return this.#items.delete(key)
  }

  #bytesAt(key: string): number {
    const item = this.#items.get(key)
    return item === undefined ? 0 : (this.#bounds.bytes?.of(item) ?? 0)
  }
}

function tooMuch(what: string): IdentityError {
  return new IdentityError('overloaded', `${what}, which is more than is followed`, { retryAfterMs: 30_000 })
}
