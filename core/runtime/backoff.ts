import type { Random } from './random.ts'

/** Bounds of a series of retries, in milliseconds. */
export interface BackoffBounds {
  readonly firstMs: number
  readonly maxMs: number
}

/**
 * How long to wait before the retry that follows `failures` failures in a row (at least 1): doubles from `firstMs` up to
 * `maxMs`, of which a random half is taken off so that a fleet does not come back at once. A time that the other side
 * asked for is respected.
 */
export function backoffMs(failures: number, bounds: BackoffBounds, random: Random, retryAfterMs = 0): number {
  const full = Math.min(bounds.maxMs, bounds.firstMs * 2 ** Math.min(failures - 1, 30))
  return Math.max(full * (1 - random.fraction() / 2), retryAfterMs * (1 + random.fraction() / 4))
}
