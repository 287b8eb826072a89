import type { Clock } from '../core/runtime/clock.ts'
import type { Log } from '../core/runtime/log.ts'
import { TokenBucket } from '../core/runtime/token-bucket.ts'

/** Lines in the log; beyond them the metrics count. */
const LIMITS = { burst: 50, perSecond: 2 }

/** Tells the log of refusals, but not so many that whoever floods the broker fills it and hides the rest. */
export class RefusalLog {
  readonly #log: Pick<Log, 'info'>
  readonly #lines: TokenBucket
  #suppressed = 0

  constructor(log: Pick<Log, 'info'>, clock: Clock) {
    this.#log = log
    this.#lines = new TokenBucket(clock, LIMITS)
  }

  info(facts: Readonly<Record<string, unknown>>, message: string): void {
    if (this.#lines.take() > 0) {
      this.#suppressed += 1
      return
    }
    const suppressed = this.#suppressed
    this.#suppressed = 0
    this.#log.info(suppressed > 0 ? { ...facts, suppressed } : facts, message)
  }
}
