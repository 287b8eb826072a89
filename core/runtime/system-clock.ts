import { setTimeout as delay } from 'node:timers/promises'
import type { Clock } from './clock.ts'

/** The longest delay that a Node timer takes; a longer one would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** The real time: an edge file, the only reader of the system's clock. */
export const systemClock: Clock = {
  now: () => new Date(),
  monotonicMs: () => performance.now(),
  async sleep(milliseconds, signal) {
    for (let left = Math.max(0, milliseconds); ; left -= LONGEST_TIMER_MS) {
      try {
        await delay(Math.min(left, LONGEST_TIMER_MS), undefined, { ...(signal && { signal }) })
      } catch (error) {
        throw signal?.aborted ? signal.reason : error
      }
      if (left <= LONGEST_TIMER_MS) return
    }
  },
}
