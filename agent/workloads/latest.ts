/** How far a follower has come: the number of the newest value that it has passed on. */
interface Follower {
  passedOn: number
  wake: () => void
}

/**
 * The latest of a series of values, for any number of followers. A follower that is slow skips what it missed: each
 * value is a complete state, so only the newest counts, and nothing queues up.
 */
export class Latest<T> {
  #value: T | undefined
  #version = 0
  #end: Error | undefined
  readonly #followers = new Set<Follower>()
  #settled: (() => void)[] = []

  /** The newest value, if there is one and the series has not ended. */
  get value(): T | undefined {
    return this.#end ? undefined : this.#value
  }

  /** Why the series has ended; `undefined` while it goes on. */
  get end(): Error | undefined {
    return this.#end
  }

  get followers(): number {
    return this.#followers.size
  }

  /** Replaces the value, and takes up a series again that had ended. */
  set(value: T): void {
    this.#value = value
    this.#version += 1
    this.#end = undefined
    this.#wakeAll()
  }

  /** Ends every follower with `reason`, and those who come later too, until a value is set again. */
  stop(reason: Error): void {
    this.#end = reason
    this.#wakeAll()
  }

  /**
   * Resolves once everyone who follows now has passed on the value of this moment, or left.
   *
   * A follower has passed a value on when it asks for the next one.
   */
  async settled(): Promise<void> {
    const version = this.#version
    const waiting = [...this.#followers]
    while (waiting.some((follower) => this.#followers.has(follower) && follower.passedOn < version)) {
      await new Promise<void>((resume) => this.#settled.push(resume))
    }
  }

  /** The newest value at once, if there is one, then each that follows. Throws the reason when the series ends. */
  async *follow(signal: AbortSignal): AsyncGenerator<T, void, undefined> {
    const follower: Follower = { passedOn: 0, wake: () => {} }
    const leave = () => follower.wake()
    signal.addEventListener('abort', leave, { once: true })
    this.#followers.add(follower)
    try {
      while (!signal.aborted) {
        if (this.#end) throw this.#end
        if (this.#value === undefined || follower.passedOn === this.#version) {
          await new Promise<void>((resume) => (follower.wake = resume))
        } else {
          const version = this.#version
          yield this.#value
          follower.passedOn = version
          this.#notifySettled()
        }
      }
    } finally {
      signal.removeEventListener('abort', leave)
      this.#followers.delete(follower)
      this.#notifySettled()
    }
  }

  #wakeAll(): void {
    for (const { wake } of this.#followers) wake()
    this.#notifySettled()
  }

  #notifySettled(): void {
    const waiting = this.#settled
    this.#settled = []
    for (const resume of waiting) resume()
  }
}
