import { backoffMs } from '../core/runtime/backoff.ts'
import type { Clock } from '../core/runtime/clock.ts'
import { codeOf, IdentityError } from '../core/runtime/errors.ts'
import { ERROR_CODES } from '../core/runtime/error-codes.ts'
import type { Log } from '../core/runtime/log.ts'
import type { Random } from '../core/runtime/random.ts'
import type { X509Bundle } from '../core/spiffe/bundle.ts'
import type { Problems } from './problems.ts'

/** One place where the bundle is to be, and how it gets there. */
export interface Publication {
  readonly title: string
  /** @returns what became of it; `unserved` if there can be no such place. */
  readonly publish: (bundle: X509Bundle, signal: AbortSignal) => Promise<'published' | 'current' | 'unserved'>
}

interface Dependencies {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly problems: Problems
  /** Told which sequence stands there. */
  readonly onPublished: (title: string, bundle: X509Bundle) => void
}

/** How often somebody is looked for who changed or deleted what we wrote; a half more or less at random. */
const LOOK_MS = 60_000
const RETRY = { firstMs: 500, maxMs: 60_000 }

/** Keeps one place current: at every change of the bundle, and now and then, because others can write there. */
export class BundlePublisher {
  readonly #publication: Publication
  readonly #deps: Dependencies
  #bundle: X509Bundle | undefined
  #wake = new AbortController()

  constructor(publication: Publication, deps: Dependencies) {
    this.#publication = publication
    this.#deps = deps
  }

  /** What is to be there from now on. Returns at once. */
  publish(bundle: X509Bundle): void {
    this.#bundle = bundle
    this.#wake.abort()
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#deps
    let failures = 0
    while (!signal.aborted) {
      this.#wake = new AbortController()
      const wake = this.#wake.signal
      let pause = LOOK_MS * (0.5 + random.fraction())
      if (this.#bundle) {
        const error = await this.#attempt(this.#bundle, signal)
        failures = error === undefined ? 0 : failures + 1
        if (failures > 0) pause = backoffMs(failures, RETRY, random, retryAfterOf(error))
      }
      await clock.sleep(pause, AbortSignal.any([signal, wake])).catch(() => {})
    }
  }

  /** @returns what went wrong. */
  async #attempt(bundle: X509Bundle, signal: AbortSignal): Promise<unknown> {
    const { log, problems, onPublished } = this.#deps
    const { title, publish } = this.#publication
    const key = `bundle/${title}`
    const sequence = bundle.sequence.toString()
    try {
      const outcome = await publish(bundle, signal)
      problems.clear(key)
      if (outcome !== 'unserved') onPublished(title, bundle)
      if (outcome === 'published') log.info({ place: title, sequence }, 'the trust bundle is published')
      return undefined
    } catch (error) {
      if (signal.aborted) return undefined
      const code = codeOf(error)
      log.warn({ err: error, code, place: title, sequence }, 'the trust bundle could not be published')
      // A rule that is missing is a problem of its own already, by its name.
      if (code !== 'kubernetes_forbidden') {
        const message =
          error instanceof IdentityError ? error.message : `the trust bundle cannot be published as ${title}`
        problems.report(key, { code, message, remedy: ERROR_CODES[code].remedy })
      }
      return error ?? new Error('unknown')
    }
  }
}

function retryAfterOf(error: unknown): number {
  return error instanceof IdentityError ? (error.retryAfterMs ?? 0) : 0
}
