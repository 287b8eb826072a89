/** How far a follower has come: the number of the newest value that it has passed on. */
interface Follower {
  passedOn: number
  /** Whether it has a value that it has not passed on yet, and so cannot be woken. */
  isPassing: boolean
  wake: () => void
  readonly interrupt: Interrupt
}

/** Ends what a follower does with a value that it cannot pass on: it hears of nothing else before. */
export type Interrupt = (reason: Error) => void

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
    for (const { isPassing, interrupt } of [...this.#followers]) if (isPassing) interrupt(reason)
    this.#wakeAll()
  }

  /**
   * Resolves once everyone who follows now has passed on the value of this moment, or left. Who has not when `patience` is
   * aborted is interrupted with its reason, and no longer waited for.
   *
   * A follower has passed a value on when it asks for the next one.
   */
  async settled(patience: AbortSignal): Promise<void> {
    const version = this.#version
    const followers = [...this.#followers]
    const late = () => followers.filter((follower) => this.#followers.has(follower) && follower.passedOn < version)
    const giveUp = () => {
      for (const { interrupt } of late()) interrupt(patience.reason as Error)
      this.#notifySettled()
    }
    patience.addEventListener('abort', giveUp, { once: true })
    while (!patience.aborted && late().length > 0) await new Promise<void>((resume) => this.#settled.push(resume))
    patience.removeEventListener('abort', giveUp)
  }

  /**
   * The newest value at once, if there is one, then each that follows. Throws the reason when the series ends.
   *
   * @param interrupt called when the series ends, or patience does, while a value is still being passed on.
   */
  async *follow(signal: AbortSignal, interrupt: Interrupt = () => {}): AsyncGenerator<T, void, undefined> {
    const follower: Follower = { passedOn: 0, isPassing: false, wake: () => {}, interrupt }
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
          follower.isPassing = true
          yield this.#value
          follower.isPassing = false
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
