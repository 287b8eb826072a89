/**
 * What waits to be sent on one stream: of each kind the latest state alone, for each state is complete. So a reader that
 * is slow misses steps in between and never the end, and nothing piles up.
 */
export class LatestStates<K, V> {
  readonly #states = new Map<K, V>()
  #wake: (() => void) | undefined
  #end: { readonly reason: unknown } | undefined

  put(kind: K, state: V): void {
    this.#states.set(kind, state)
    this.#wake?.()
  }

  /** Ends the stream with `reason`, whatever waits; without one, well. The first one counts. */
  end(reason?: unknown): void {
    this.#end ??= { reason }
    this.#wake?.()
  }

  /** One state after the other as they come; throws the reason once it has ended with one. */
  async *[Symbol.asyncIterator](): AsyncGenerator<V> {
    for (;;) {
      if (this.#end) {
        if (this.#end.reason === undefined) return
        throw this.#end.reason
      }
      const [next] = this.#states
      if (next) {
        this.#states.delete(next[0])
        yield next[1]
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
        this.#wake = undefined
      }
    }
  }
}
