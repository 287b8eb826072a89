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
  /** Waits before it is tried again, after so many failures. */
  readonly pause: (failures: number) => Promise<void>
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
    this.#isRunning = true
    for (let next = this.#take(); next && !this.#options.signal.aborted; next = this.#take()) await this.#enforce(next)
    this.#isRunning = false
  }

  async #enforce(revision: BundleRevision): Promise<void> {
    const { enforce, enforced, failed, pause, signal } = this.#options
    for (let failures = 1; !this.#next && !signal.aborted; failures += 1) {
      try {
        await enforce(revision.bundles, signal)
        enforced(revision.bundles)
        return revision.acknowledge()
      } catch (error) {
        if (signal.aborted) return
        failed(error)
        await pause(failures)
      }
    }
  }

  #take(): BundleRevision | undefined {
    const next = this.#next
    this.#next = undefined
    return next
  }
}
