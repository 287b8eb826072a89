import { setTimeout as sleep } from 'node:timers/promises'
import { throwIfAborted } from './cancellation.ts'

/** Thrown by what {@link waitFor} looks at, when waiting any longer is in vain. */
export class InVain extends Error {
  override readonly name = 'InVain'
}

export interface WaitOptions {
  /** Milliseconds until the wait fails. Default 60 000. */
  timeout?: number
  /** Milliseconds between two looks. Default 100. */
  interval?: number
}

/**
 * Looks until `look` answers something that is neither `undefined` nor `false`, and returns it.
 *
 * A `look` that throws counts as "not yet", unless it throws {@link InVain}; its last error is the cause of the failure.
 *
 * @param what completes the sentence "timed out waiting for …".
 */
export async function waitFor<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  { timeout = 60_000, interval = 100 }: WaitOptions = {},
): Promise<T> {
  const deadline = performance.now() + timeout
  let lastError: unknown
  for (;;) {
    throwIfAborted()
    try {
      const found = await look()
      if (found !== undefined && found !== false) return found
      lastError = undefined
    } catch (error) {
      if (error instanceof InVain) throw error
      lastError = error
    }
    if (performance.now() > deadline) {
      const because = lastError instanceof Error ? `: ${lastError.message}` : ''
      throw new Error(`timed out after ${timeout / 1000} s waiting for ${what}${because}`, { cause: lastError })
    }
    await sleep(interval)
  }
}
