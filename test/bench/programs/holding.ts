import type { KeyObject, X509Certificate } from 'node:crypto'

/** What one workload holds, as an independent reader sees it: is there, at every look, a valid pair? */
export class Holding {
  readonly first: Promise<void>
  updates = 0
  looks = 0
  /** Looks at which there was no valid, matching pair. */
  gaps = 0
  leastLeftMs = Number.POSITIVE_INFINITY
  readonly problems: string[] = []
  readonly #arrived: () => void
  #notBefore = 0
  #notAfter = 0
  #isWhole = false

  constructor() {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.first = promise
    this.#arrived = resolve
  }

  received(certificate: X509Certificate, privateKey: KeyObject): void {
    this.updates += 1
    this.#notBefore = certificate.validFromDate.getTime()
    this.#notAfter = certificate.validToDate.getTime()
    this.#isWhole = certificate.checkPrivateKey(privateKey)
    if (!this.#isWhole) this.#problem('the key is not that of the certificate')
    this.#arrived()
    this.look()
  }

  broken(why: string): void {
    this.#isWhole = false
    this.#problem(why)
  }

  look(now = Date.now()): void {
    this.looks += 1
    const left = this.#notAfter - now
    this.leastLeftMs = Math.min(this.leastLeftMs, left)
    if (this.#isWhole && left > 0 && now >= this.#notBefore) return
    this.gaps += 1
    if (this.#isWhole) this.#problem('the certificate is not valid')
  }

  #problem(text: string): void {
    if (this.problems.length < 5) this.problems.push(text)
  }
}
