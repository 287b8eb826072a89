import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { TokenBuckets } from '../../core/runtime/token-bucket.ts'

/** Serial numbers in one message: node.proto says so. */
const MAX_SERIAL_NUMBERS = 1_000
/** Of one node. What an agent kept while the broker was away (10,000 at most) fits at once. */
const LIMITS = { burst: 20_000, perSecond: 200 }

/** Where it is put down. */
interface EndLog {
  end(nodeName: string, serialNumbers: readonly string[]): void
}

/** What agents say has ended on their nodes. */
export class EndedSvids {
  readonly #ledger: EndLog
  readonly #rates: TokenBuckets

  constructor(ledger: EndLog, clock: Clock) {
    this.#ledger = ledger
    this.#rates = new TokenBuckets(clock, LIMITS)
  }

  /** @throws `IdentityError` `request_invalid`, `overloaded`: the stream ends with it. */
  end(nodeName: string, serialNumbers: readonly string[]): void {
    if (serialNumbers.length > MAX_SERIAL_NUMBERS) {
      throw new IdentityError('request_invalid', `ended.serial_numbers has more than ${MAX_SERIAL_NUMBERS} entries`)
    }
    const retryAfterMs = this.#rates.take(nodeName, Math.max(1, serialNumbers.length))
    if (retryAfterMs > 0) {
      throw new IdentityError('overloaded', 'this node says of more SVIDs that they have ended than it can have held', {
        retryAfterMs,
      })
    }
    if (serialNumbers.length > 0) this.#ledger.end(nodeName, serialNumbers)
  }
}
