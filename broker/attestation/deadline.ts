import type { Clock } from '../../core/runtime/clock.ts'

/** How long something may take, and who may call it off before. */
export interface Deadline {
  readonly clock: Clock
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
}

/**
 * Runs `work` until it is done, `timeoutMs` have passed or `signal` is aborted, whichever is first; `work` sees the
 * latter two as its own signal. The answer does not wait for a `work` that ignores it.
 *
 * @param expired makes the error for the second case.
 */
export async function withDeadline<T>(
  { clock, timeoutMs, signal }: Deadline,
  work: (signal: AbortSignal) => Promise<T>,
  expired: () => Error,
): Promise<T> {
  signal?.throwIfAborted()
  const stop = new AbortController()
  const done = new AbortController()
  const forward = () => stop.abort(signal?.reason)
  signal?.addEventListener('abort', forward, { once: true })
  clock.sleep(timeoutMs, done.signal).then(
    () => stop.abort(expired()),
    () => {},
  )
  try {
    return await orAborted(work(stop.signal), stop.signal)
  } finally {
    done.abort()
    signal?.removeEventListener('abort', forward)
  }
}

/** What `promise` becomes, or the reason of `signal` as soon as that is aborted: for those who share the work of others. */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) {
    promise.catch(() => {})
    return Promise.reject(signal.reason as Error)
  }
  return new Promise((resolve, reject) => {
    const giveUp = () => reject(signal.reason as Error)
    signal.addEventListener('abort', giveUp, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', giveUp))
  })
}
