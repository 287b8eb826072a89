import { backoffMs } from '../../core/runtime/backoff.ts'
import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { Random } from '../../core/runtime/random.ts'
import { unlessAborted } from '../../core/runtime/unless-aborted.ts'
import type { HeldWorkload } from './held-workload.ts'
import type { Bundles } from './workload.ts'

/** So many volumes are written at the same time. */
const AT_ONCE = 8
/** A volume that is not written by then holds up none of the others: its turn may have to wait for a mount. */
const WRITE_PATIENCE_MS = 1_000
/** A stream that has not taken the bundle by then reads nothing at all; it gets the complete state when it comes again. */
const STREAM_PATIENCE_MS = 10_000
/** A volume that cannot be written for so long is told of: it keeps the node from acknowledging. */
const HELD_UP_MS = 60_000
const RETRY = { firstMs: 500, maxMs: 30_000 }

interface Surroundings {
  readonly clock: Clock
  readonly random: Random
  /** Told of a volume that keeps the node from acknowledging its bundles for a minute. */
  readonly heldUp: (workload: HeldWorkload, error: unknown) => void
}

/**
 * Resolves once the files of every workload hold `bundles()` and its streams have passed them on. Each volume is tried
 * once before any is tried again, so that one that cannot be written costs the others nothing; it is tried until it can,
 * or its pod is gone: an acknowledgement stands for the whole node, and a withdrawn authority in files that could not be
 * written is still trusted by whoever reads them. Rejects as soon as `signal` is aborted, whatever is still being
 * written: it is written in turn, and what comes after holds the newest bundles.
 */
export function enforceEverywhere(
  workloads: readonly HeldWorkload[],
  bundles: () => Bundles,
  surroundings: Surroundings,
  signal: AbortSignal,
): Promise<void> {
  return unlessAborted(signal, new EnforcementRun(bundles, surroundings, signal).over(workloads))
}

/** Whether newer bundles could not be written to its volume for a minute. */
export function holdsUp({ unwritableSinceMs }: HeldWorkload, clock: Clock): boolean {
  return unwritableSinceMs !== undefined && clock.monotonicMs() - unwritableSinceMs >= HELD_UP_MS
}

/** Nothing in it rejects for an abort, for nobody listens any more by then. */
class EnforcementRun {
  readonly #bundles: () => Bundles
  readonly #surroundings: Surroundings
  readonly #signal: AbortSignal

  constructor(bundles: () => Bundles, surroundings: Surroundings, signal: AbortSignal) {
    this.#bundles = bundles
    this.#surroundings = surroundings
    this.#signal = signal
  }

  async over(workloads: readonly HeldWorkload[]): Promise<void> {
    const waiting = [...workloads]
    const written: HeldWorkload[] = []
    const late: Promise<void>[] = []
    const worker = async () => {
      for (let workload = waiting.shift(); workload && !this.#signal.aborted; workload = waiting.shift()) {
        const attempt = this.#write(workload)
        if (await this.#inTime(attempt)) written.push(workload)
        else late.push(this.#untilWritten(workload, attempt))
      }
    }
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, waiting.length) }, worker))
    await Promise.all([this.#streamsCarryIt(written), ...late])
  }

  /** @returns whether it succeeded. */
  async #write(workload: HeldWorkload): Promise<boolean> {
    try {
      await workload.enforce(this.#bundles)
      return true
    } catch (error) {
      workload.lastFailure = error
      workload.unwritableSinceMs ??= this.#surroundings.clock.monotonicMs()
      return false
    }
  }

  async #inTime(attempt: Promise<boolean>): Promise<boolean> {
    const done = new AbortController()
    const late = this.#surroundings.clock.sleep(WRITE_PATIENCE_MS, done.signal).then(
      () => false,
      () => false,
    )
    try {
      return await Promise.race([attempt, late])
    } finally {
      done.abort()
    }
  }

  async #untilWritten(workload: HeldWorkload, firstAttempt: Promise<boolean>): Promise<void> {
    const { clock, random, heldUp } = this.#surroundings
    const { signal: removed } = workload.removal
    const either = AbortSignal.any([this.#signal, removed])
    let isWritten = await firstAttempt
    let isTold = false
    for (let failures = 1; !isWritten && !either.aborted; failures += 1) {
      await clock.sleep(backoffMs(failures, RETRY, random), either).catch(() => {})
      if (!either.aborted) isWritten = await this.#write(workload)
      if (isTold || either.aborted || !holdsUp(workload, clock)) continue
      heldUp(workload, workload.lastFailure)
      isTold = true
    }
    if (isWritten) await this.#streamsCarryIt([workload])
  }

  /** All of them within one and the same time; what is late is cut off, for it may be late for ever. */
  async #streamsCarryIt(workloads: readonly HeldWorkload[]): Promise<void> {
    const patience = new AbortController()
    const settled = new AbortController()
    const reason = new IdentityError('overloaded', 'the stream does not take what it is sent; open it again')
    void this.#surroundings.clock.sleep(STREAM_PATIENCE_MS, settled.signal).then(
      () => patience.abort(reason),
      () => {},
    )
    await Promise.all(workloads.map(({ identity }) => identity.settled(patience.signal)))
    settled.abort()
  }
}
