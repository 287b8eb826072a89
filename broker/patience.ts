import { backoffMs } from '../core/runtime/backoff.ts'
import type { Clock } from '../core/runtime/clock.ts'
import { IdentityError } from '../core/runtime/errors.ts'
import { ERROR_CODES } from '../core/runtime/error-codes.ts'
import type { Log } from '../core/runtime/log.ts'
import type { Random } from '../core/runtime/random.ts'
import type { Readiness } from './readiness.ts'

const RETRY = { firstMs: 250, maxMs: 10_000 }

export interface Patience {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly readiness: Readiness
  readonly signal: AbortSignal
}

/**
 * Tries `start` until it succeeds, as long as what stands in its way may pass (its code travels as Unavailable); meanwhile
 * the broker is not ready, and says why.
 */
export async function withPatience<T>(
  what: string,
  start: () => Promise<T>,
  { clock, random, log, readiness, signal }: Patience,
): Promise<T> {
  for (let failures = 1; ; failures += 1) {
    signal.throwIfAborted()
    try {
      return await start()
    } catch (error) {
      if (!(error instanceof IdentityError) || ERROR_CODES[error.code].status !== 'UNAVAILABLE') throw error
      readiness.waitFor(`${what}: ${error.message}`)
      log.warn({ err: error, code: error.code, what }, 'cannot start yet; trying again')
      await clock.sleep(backoffMs(failures, RETRY, random), signal)
    }
  }
}
