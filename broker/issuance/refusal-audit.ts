import type { Clock } from '../../core/runtime/clock.ts'
import { codeOf, IdentityError } from '../../core/runtime/errors.ts'
import type { AuditLog } from '../ledger/ledger.ts'

export interface RefusalAuditLimits {
  /** Records that may be written at once. */
  readonly burst: number
  /** Records a second in the long run. */
  readonly perSecond: number
}

const LIMITS: RefusalAuditLimits = { burst: 500, perSecond: 20 }

type RefusalEvent = 'attestation_refused' | 'issuance_refused' | 'caller_refused'

/**
 * Writes refusals down with their precise code, but not so many that whoever floods the broker fills its disk: beyond the
 * limit they are counted, and the next record that fits says how many of which code there were.
 */
export class RefusalAudit {
  readonly #log: AuditLog
  readonly #clock: Clock
  readonly #limits: RefusalAuditLimits
  #tokens: number
  #filledAt: number
  readonly #suppressed = new Map<string, number>()

  constructor(log: AuditLog, clock: Clock, limits: RefusalAuditLimits = LIMITS) {
    this.#log = log
    this.#clock = clock
    this.#limits = limits
    this.#tokens = limits.burst
    this.#filledAt = clock.monotonicMs()
  }

  /** @param facts what is known about the caller and what it asked for; never what it brought. */
  refused(event: RefusalEvent, error: unknown, facts: Readonly<Record<string, string>>): void {
    const code = codeOf(error)
    if (!this.#take()) {
      this.#suppressed.set(code, (this.#suppressed.get(code) ?? 0) + 1)
      return
    }
    this.flush()
    const reason = error instanceof IdentityError && error.cause instanceof Error ? error.cause.message : undefined
    this.#log.record({ event, code, ...facts, ...(reason !== undefined && { reason: reason.slice(0, 500) }) })
  }

  /** Writes down what was only counted so far. */
  flush(): void {
    if (this.#suppressed.size === 0) return
    const codes = Array.from(this.#suppressed, ([code, count]) => `${code}=${count}`)
    this.#suppressed.clear()
    this.#log.record({ event: 'refusals_suppressed', codes })
  }

  #take(): boolean {
    const now = this.#clock.monotonicMs()
    const { burst, perSecond } = this.#limits
    this.#tokens = Math.min(burst, this.#tokens + ((now - this.#filledAt) / 1000) * perSecond)
    this.#filledAt = now
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }
}
