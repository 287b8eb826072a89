/**
 * The time, and waiting for it. Nothing else in the programs reads the clock or sets a timer, so that a test can let a
 * day of renewals pass in milliseconds.
 */
export interface Clock {
  /** The wall clock. It may jump, in both directions: use it for what certificates and tokens say, never to measure. */
  now(): Date
  /** Milliseconds since an arbitrary start. Never goes back, does not follow changes of the wall clock. */
  monotonicMs(): number
  /**
   * Resolves after `milliseconds` (less than 2^31; longer ones are waited out in steps), or rejects with the signal's
   * reason once `signal` is aborted.
   */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>
}
