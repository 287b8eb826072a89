import type { Clock } from '../../core/runtime/clock.ts'
import { codeOf, IdentityError } from '../../core/runtime/errors.ts'
import { type RateLimits, TokenBucket, TokenBuckets } from '../../core/runtime/token-bucket.ts'
import type { AuditLog } from '../ledger/ledger.ts'
import type { AdminCaller } from './admin-user.ts'
import type { AccessRule, AdminMethod } from './permissions.ts'

/** Refusals that are written down: of all who have not shown who they are together, and of each who has. */
const LIMITS: Readonly<Record<'strangers' | 'user' | 'users', RateLimits>> = {
  strangers: { burst: 50, perSecond: 1 },
  user: { burst: 50, perSecond: 1 },
  users: { burst: 200, perSecond: 5 },
}
/** Calls that were let in and are written down each by itself: more than people make, and a few megabytes a day. */
const RECORDED: Readonly<Record<'user' | 'users', RateLimits>> = {
  user: { burst: 500, perSecond: 0.2 },
  users: { burst: 5_000, perSecond: 2 },
}
const MAX_USERS = 10_000
const MAX_REASON = 300
const MAX_NAME = 253
/** The name by which the API server's own audit log knows a token, too. */
const CREDENTIAL_ID = 'authentication.kubernetes.io/credential-id'

/** What a call was. */
export interface AdminCall {
  readonly method: AdminMethod
  readonly peer: string
  readonly rule: AccessRule
  /** What it was about, in the words of the request. */
  readonly target: string
}

/**
 * Writes each call down: who, what, and whether it was allowed or why not. Beyond a limit they are counted, and the next
 * that is written says how many there were, so that a flood neither fills the disk nor hides in what it has filled.
 */
export class AdminAudit {
  readonly #log: AuditLog
  readonly #strangers: TokenBucket
  readonly #user: TokenBuckets
  readonly #users: TokenBucket
  readonly #recordedUser: TokenBuckets
  readonly #recorded: TokenBucket
  #suppressed = 0
  #unrecorded = 0

  constructor(log: AuditLog, clock: Clock) {
    this.#log = log
    this.#strangers = new TokenBucket(clock, LIMITS.strangers)
    this.#user = new TokenBuckets(clock, LIMITS.user, MAX_USERS)
    this.#users = new TokenBucket(clock, LIMITS.users)
    this.#recordedUser = new TokenBuckets(clock, RECORDED.user, MAX_USERS)
    this.#recorded = new TokenBucket(clock, RECORDED.users)
  }

  /** Who may ask for little may ask for it all day: a ledger that is full would issue nothing any more. */
  allowed(call: AdminCall, caller: AdminCaller): void {
    if (this.#recordedUser.take(caller.user.name) > 0 || this.#recorded.take() > 0) {
      this.#unrecorded += 1
      return
    }
    const unrecorded = this.#unrecorded
    this.#unrecorded = 0
    const counted = unrecorded > 0 ? { unrecorded } : {}
    this.#log.record({ event: 'admin_called', ...factsOf(call), ...nameOf(caller), ...counted })
  }

  /** @param caller as far as it is known who it is; what a stranger says it asks about is not put down. */
  refused(call: AdminCall, caller: AdminCaller | undefined, error: unknown): void {
    const isWritten = caller
      ? this.#user.take(caller.user.name) === 0 && this.#users.take() === 0
      : this.#strangers.take() === 0
    if (!isWritten) {
      this.#suppressed += 1
      return
    }
    const cause = error instanceof IdentityError && error.cause instanceof Error ? error.cause.message : undefined
    const suppressed = this.#suppressed
    this.#suppressed = 0
    this.#log.record({
      event: 'admin_refused',
      code: codeOf(error),
      ...(caller ? { ...factsOf(call), ...nameOf(caller) } : { method: call.method, peer: call.peer }),
      ...(cause !== undefined && { reason: cause.slice(0, MAX_REASON) }),
      ...(suppressed > 0 && { suppressed }),
    })
  }
}

function factsOf({ method, peer, rule: { verb, resource, namespace }, target }: AdminCall) {
  return { method, peer, verb, resource, namespace, ...(target !== '' && { target }) }
}

function nameOf({ user, shownBy }: AdminCaller) {
  const [credential] = user.extra[CREDENTIAL_ID] ?? []
  return {
    user: user.name.slice(0, MAX_NAME),
    shownBy,
    ...(credential !== undefined && { credential: credential.slice(0, MAX_NAME) }),
  }
}
