/** Announces a return to whoever waits for the next one. */
export class Returns {
  #waiting = new Set<() => void>()

  get isAwaited(): boolean {
    return this.#waiting.size > 0
  }

  announce(): void {
    const waiting = this.#waiting
    this.#waiting = new Set()
    for (const resume of waiting) resume()
  }

  /** Resolves at the next announcement, rejects with the signal's reason once it is aborted. */
  next(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting.delete(resume)
        reject(signal.reason as Error)
      }
      const resume = () => {
        signal.removeEventListener('abort', leave)
        resolve()
      }
      if (signal.aborted) return reject(signal.reason as Error)
      this.#waiting.add(resume)
      signal.addEventListener('abort', leave, { once: true })
    })
  }
}
