/** Why the broker cannot serve now, for `/readyz`. */
export class Readiness {
  #waitingFor: string | undefined
  readonly #checks: (() => string | undefined)[] = []

  constructor(waitingFor: string) {
    this.#waitingFor = waitingFor
  }

  /** What the start is waiting for. */
  waitFor(reason: string): void {
    this.#waitingFor = reason
  }

  started(): void {
    this.#waitingFor = undefined
  }

  stopping(): void {
    this.#waitingFor = 'the broker is stopping'
  }

  /** `check` says what is wrong, or `undefined`; asked at each probe, so it must be quick. */
  check(check: () => string | undefined): void {
    this.#checks.push(check)
  }

  reasons(): readonly string[] {
    if (this.#waitingFor !== undefined) return [this.#waitingFor]
    return this.#checks.map((check) => check()).filter((reason) => reason !== undefined)
  }
}
