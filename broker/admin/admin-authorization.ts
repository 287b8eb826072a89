import { hash } from 'node:crypto'
import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { orAborted, withDeadline } from '../attestation/deadline.ts'
import { ExpiringCache } from '../attestation/expiring-cache.ts'
import { WorkQueue } from '../attestation/work-queue.ts'
import type { AdminUser } from './admin-user.ts'
import { type AccessRule, ADMIN_GROUP, ruleText } from './permissions.ts'

/** Asks the API server whether `user` may do what `rule` says, in the API group `countersign.dev`. */
export type ReviewAccess = (user: AdminUser, rule: AccessRule, signal: AbortSignal) => Promise<AccessDecision>

export interface AccessDecision {
  readonly isAllowed: boolean
  /** What the authorizer says besides, for the audit; may be empty. */
  readonly reason: string
}

/** So long a rule that was taken away may go on working. Refusals are asked anew each time. */
const ALLOWED = { ttlMs: 5_000, maxEntries: 1_000 }
const QUEUE = { maxConcurrent: 4, maxQueued: 64 }
const TIMEOUT_MS = 10_000

/** What callers may do: the API server's RBAC says it (design §5). */
export class AdminAuthorization {
  readonly #review: ReviewAccess
  readonly #clock: Clock
  readonly #allowed: ExpiringCache<true>
  readonly #queue = new WorkQueue(QUEUE)
  readonly #asking = new Map<string, Promise<void>>()

  constructor({ review, clock }: { readonly review: ReviewAccess; readonly clock: Clock }) {
    this.#review = review
    this.#clock = clock
    this.#allowed = new ExpiringCache(clock, ALLOWED)
  }

  /**
   * @throws {@link IdentityError} `admin_permission_denied` with the missing rule in its message and its facts;
   *   `overloaded`, `kubernetes_unavailable`, `kubernetes_forbidden`; the reason of `signal`.
   */
  async check(user: AdminUser, rule: AccessRule, signal: AbortSignal): Promise<void> {
    const { verb, resource, namespace } = rule
    const { name, uid, groups, extra } = user
    const key = hash('sha256', JSON.stringify([name, uid, groups, extra, verb, resource, namespace]), 'base64url')
    if (this.#allowed.get(key)) return
    const asking = this.#asking.get(key) ?? this.#ask(key, user, rule)
    this.#asking.set(key, asking)
    await orAborted(asking, signal)
  }

  async #ask(key: string, user: AdminUser, rule: AccessRule): Promise<void> {
    try {
      let askedAtMs = this.#clock.monotonicMs()
      // Whoever asked first may go; those who wait for the same answer still want it.
      const { isAllowed, reason } = await withDeadline(
        { clock: this.#clock, timeoutMs: TIMEOUT_MS },
        (signal) =>
          this.#queue.run(() => {
            askedAtMs = this.#clock.monotonicMs()
            return this.#review(user, rule, signal)
          }, signal),
        late,
      )
      if (!isAllowed) throw denied(user, rule, reason)
      this.#allowed.set(key, true, askedAtMs)
    } finally {
      this.#asking.delete(key)
    }
  }
}

function denied({ name: user }: AdminUser, rule: AccessRule, reason: string): IdentityError {
  const { verb, resource, namespace } = rule
  const yaml = `{ apiGroups: ["${ADMIN_GROUP}"], resources: ["${resource}"], verbs: ["${verb}"] }`
  const role =
    namespace === '' ? 'a ClusterRole bound by a ClusterRoleBinding' : `a Role bound in namespace ${namespace}`
  return new IdentityError('admin_permission_denied', `${user} may not ${ruleText(rule)}; add to ${role}: ${yaml}`, {
    facts: { user, verb, group: ADMIN_GROUP, resource, namespace },
    ...(reason !== '' && { cause: new Error(reason) }),
  })
}

function late(): IdentityError {
  return new IdentityError('kubernetes_unavailable', 'the API server did not say in time what the caller may do', {
    retryAfterMs: 1000,
  })
}
