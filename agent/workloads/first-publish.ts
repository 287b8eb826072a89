import { backoffMs } from '../../core/runtime/backoff.ts'
import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { Random } from '../../core/runtime/random.ts'
import { isTransient } from './transient.ts'

/** How long a first publish is held while there is no broker (design §10): kubelet gives up on a call after 2 min. */
export const HOLD_MS = 100_000

const RETRY = { firstMs: 250, maxMs: 5_000 }

interface Surroundings {
  readonly clock: Clock
  readonly random: Random
  /** Resolves when the broker is back. */
  readonly returned: (signal: AbortSignal) => Promise<void>
}

/**
 * Tries `attempt` until it succeeds, is refused for good, or {@link HOLD_MS} have passed: at the broker's return at once,
 * else with a jittered back-off.
 *
 * @throws {@link IdentityError} the refusal; `broker_unavailable` with the last failure as cause when time is up.
 */
export async function heldUntilServed<T>(
  attempt: (signal: AbortSignal) => Promise<T>,
  { clock, random, returned }: Surroundings,
  signal: AbortSignal,
): Promise<T> {
  const end = clock.monotonicMs() + HOLD_MS
  for (let failures = 1; ; failures += 1) {
    try {
      return await withDeadline(attempt, clock, end, signal)
    } catch (error) {
      signal.throwIfAborted()
      if (!isTransient(error)) throw error
      const leftMs = end - clock.monotonicMs()
      if (leftMs <= 0) throw timeIsUp(error)
      const retryAfterMs = error instanceof IdentityError ? error.retryAfterMs : undefined
      const waitMs = Math.min(leftMs, backoffMs(failures, RETRY, random, retryAfterMs))
      await eitherOf(waitMs, clock, returned, signal)
    }
  }
}

async function withDeadline<T>(
  attempt: (signal: AbortSignal) => Promise<T>,
  clock: Clock,
  end: number,
  signal: AbortSignal,
): Promise<T> {
  const late = new AbortController()
  const done = new AbortController()
  clock.sleep(end - clock.monotonicMs(), done.signal).then(
    () => late.abort(new IdentityError('broker_unavailable', 'the broker did not answer in time')),
    () => {},
  )
  try {
    return await attempt(AbortSignal.any([signal, late.signal]))
  } finally {
    done.abort()
  }
}

/** Whichever comes first: the time, or the broker. */
async function eitherOf(
  waitMs: number,
  clock: Clock,
  returned: Surroundings['returned'],
  signal: AbortSignal,
): Promise<void> {
  const over = new AbortController()
  const both = AbortSignal.any([signal, over.signal])
  const waits = [clock.sleep(waitMs, both), returned(both)]
  try {
    await Promise.race(waits)
  } finally {
    over.abort()
    await Promise.allSettled(waits)
  }
}

function timeIsUp(cause: unknown): IdentityError {
  return new IdentityError(
    'broker_unavailable',
    `no SVID could be had for ${HOLD_MS / 1000} s; it is asked for again`,
    {
      cause,
      facts: cause instanceof IdentityError ? { last: cause.code } : {},
    },
  )
}
