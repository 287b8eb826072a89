import { backoffMs } from '../../core/runtime/backoff.ts'
import type { Clock } from '../../core/runtime/clock.ts'
import type { Random } from '../../core/runtime/random.ts'
import type { HeldWorkload } from './held-workload.ts'
import type { Bundles } from './workload.ts'

/** So many volumes are written at the same time. */
const AT_ONCE = 8
/** A stream that has not taken the bundle by then reads nothing at all; it gets the complete state whenever it does. */
const STREAM_PATIENCE_MS = 10_000
const RETRY = { firstMs: 500, maxMs: 30_000 }

interface Surroundings {
  readonly clock: Clock
  readonly random: Random
}

/**
 * Resolves once the files of every workload hold `bundles()` and its streams have passed them on. A volume that cannot be
 * written is tried again until it can, or its pod is gone: an acknowledgement stands for the whole node.
 */
export async function enforceEverywhere(
  workloads: readonly HeldWorkload[],
  bundles: () => Bundles,
  surroundings: Surroundings,
  signal: AbortSignal,
): Promise<void> {
  const waiting = [...workloads]
  const worker = async () => {
    for (let workload = waiting.shift(); workload; workload = waiting.shift()) {
      await enforceOn(workload, bundles, surroundings, signal)
    }
  }
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, waiting.length) }, worker))
}

async function enforceOn(
  workload: HeldWorkload,
  bundles: () => Bundles,
  { clock, random }: Surroundings,
  signal: AbortSignal,
): Promise<void> {
  const either = AbortSignal.any([signal, workload.removal.signal])
  for (let failures = 1; ; failures += 1) {
    if (workload.removal.signal.aborted) return
    try {
      await workload.enforce(bundles)
      return await streamsCarryIt(workload, clock)
    } catch (error) {
      signal.throwIfAborted()
      workload.lastFailure = error
      await clock.sleep(backoffMs(failures, RETRY, random), either).catch(() => signal.throwIfAborted())
    }
  }
}

async function streamsCarryIt(workload: HeldWorkload, clock: Clock): Promise<void> {
  const done = new AbortController()
  await Promise.race([workload.identity.settled(), clock.sleep(STREAM_PATIENCE_MS, done.signal).catch(() => {})])
  done.abort()
}
