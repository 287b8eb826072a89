import { IdentityError } from '../../core/runtime/errors.ts'
import type { Bundles } from '../workloads/workload.ts'

/** A state of the trust domain as it came on Sync. */
export interface BundleRevision {
  readonly bundles: Bundles
  readonly acknowledge: () => void
}

interface Options {
  /** Resolves once the whole node carries the bundles. */
  readonly enforce: (bundles: Bundles, signal: AbortSignal) => Promise<void>
  readonly enforced: (bundles: Bundles) => void
  readonly failed: (error: unknown) => void
  /** Waits before it is tried again, after so many failures; resolves at once when `signal` is aborted. */
  readonly pause: (failures: number, signal: AbortSignal) => Promise<void>
  readonly signal: AbortSignal
}

/**
 * Enforces bundle revisions, each the complete state: a newer one ends what is under way for the one before, for a volume
 * that cannot be written must not keep from all the others what was withdrawn since. What is acknowledged is what is
 * enforced, never what has merely arrived, and stands for those before it.
 */
export class Enforcement {
  readonly #options: Options
  #next: BundleRevision | undefined
  #overtaken = new AbortController()
  #isRunning = false

  constructor(options: Options) {
    this.#options = options
  }

  put(revision: BundleRevision): void {
    this.#next = revision
    this.#overtaken.abort(new IdentityError('overloaded', 'a newer revision has come'))
    if (!this.#isRunning) void this.#run()
  }

  async #run(): Promise<void> {
    this.#isRunning = true
    for (let next = this.#take(); next && !this.#options.signal.aborted; next = this.#take()) await this.#enforce(next)
    this.#isRunning = false
  }

  async #enforce(revision: BundleRevision): Promise<void> {
    const { enforce, enforced, failed, pause, signal } = this.#options
    this.#overtaken = new AbortController()
    const either = AbortSignal.any([signal, this.#overtaken.signal])
    for (let failures = 1; !either.aborted; failures += 1) {
      try {
        await enforce(revision.bundles, either)
        enforced(revision.bundles)
        return revision.acknowledge()
      } catch (error) {
        if (either.aborted) return
        failed(error)
        await pause(failures, either)
      }
    }
  }

  #take(): BundleRevision | undefined {
    const next = this.#next
    this.#next = undefined
    return next
  }
}
