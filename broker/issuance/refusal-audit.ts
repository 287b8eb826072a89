import type { Clock } from '../../core/runtime/clock.ts'
import { codeOf, IdentityError } from '../../core/runtime/errors.ts'
import { type RateLimits, TokenBucket, TokenBuckets } from '../../core/runtime/token-bucket.ts'
import type { AuditLog } from '../ledger/ledger.ts'

/** Records that may be written about whom. */
export interface RefusalAuditLimits {
  /** All who have not shown who they are, together: anybody on the network is one of them. */
  readonly strangers: RateLimits
  /** Each agent. */
  readonly agent: RateLimits
  /** All agents together. */
  readonly agents: RateLimits
}

const LIMITS: RefusalAuditLimits = {
  strangers: { burst: 50, perSecond: 1 },
  agent: { burst: 100, perSecond: 2 },
  agents: { burst: 500, perSecond: 20 },
}

type RefusalEvent = 'attestation_refused' | 'issuance_refused' | 'caller_refused'

/** Who was refused: an agent that has shown its certificate, or anybody. */
type Callers = 'strangers' | 'agents'

/**
 * Writes refusals down with their precise code, but not so many that whoever floods the broker fills its disk: beyond the
 * limit they are counted, and the next record that fits says how many of which code there were. Strangers have a limit of
 * their own, so that they cannot hide what agents are refused; and so has each agent.
 */
export class RefusalAudit {
  readonly #log: AuditLog
  readonly #strangers: TokenBucket
  readonly #agent: TokenBuckets
  readonly #agents: TokenBucket
  readonly #suppressed = { strangers: new Map<string, number>(), agents: new Map<string, number>() }

  constructor(log: AuditLog, clock: Clock, limits: RefusalAuditLimits = LIMITS) {
    this.#log = log
    this.#strangers = new TokenBucket(clock, limits.strangers)
    this.#agent = new TokenBuckets(clock, limits.agent)
    this.#agents = new TokenBucket(clock, limits.agents)
  }

  /** @param facts what is known about the caller and what it asked for; never what it brought. */
  refused(event: RefusalEvent, error: unknown, facts: Readonly<Record<string, string>>): void {
    const code = codeOf(error)
    const callers = event === 'issuance_refused' ? 'agents' : 'strangers'
    if (!this.#take(callers, facts['nodeName'] ?? '')) {
      const suppressed = this.#suppressed[callers]
      suppressed.set(code, (suppressed.get(code) ?? 0) + 1)
      return
    }
    this.#flush(callers)
    const reason = error instanceof IdentityError && error.cause instanceof Error ? error.cause.message : undefined
    this.#log.record({ event, code, ...facts, ...(reason !== undefined && { reason: reason.slice(0, 500) }) })
  }

  /** Writes down what was only counted so far. */
  flush(): void {
    this.#flush('strangers')
    this.#flush('agents')
  }

  #flush(callers: Callers): void {
    const suppressed = this.#suppressed[callers]
    if (suppressed.size === 0) return
    const codes = Array.from(suppressed, ([code, count]) => `${code}=${count}`)
    suppressed.clear()
    this.#log.record({ event: 'refusals_suppressed', callers, codes })
  }

  #take(callers: Callers, nodeName: string): boolean {
    if (callers === 'strangers') return this.#strangers.take() === 0
    return this.#agent.take(nodeName) === 0 && this.#agents.take() === 0
  }
}
