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
  readonly signal: AbortSignal
}

/**
 * Enforces bundle revisions one after the other, skipping those that a newer one has overtaken: each is the complete
 * state. What is acknowledged is what is enforced, never what has merely arrived.
 */
export class Enforcement {
  readonly #options: Options
  #next: BundleRevision | undefined
  #isRunning = false

  constructor(options: Options) {
    this.#options = options
  }

  put(revision: BundleRevision): void {
    this.#next = revision
    if (!this.#isRunning) void this.#run()
  }

  async #run(): Promise<void> {
    const { enforce, enforced, failed, signal } = this.#options
    this.#isRunning = true
    try {
      for (let revision = this.#take(); revision && !signal.aborted; revision = this.#take()) {
        await enforce(revision.bundles, signal)
        enforced(revision.bundles)
        revision.acknowledge()
      }
    } catch (error) {
      if (!signal.aborted) failed(error)
    } finally {
      this.#isRunning = false
    }
  }

  #take(): BundleRevision | undefined {
    const next = this.#next
    this.#next = undefined
    return next
  }
}
