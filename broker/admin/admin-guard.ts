import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { TokenBuckets } from '../../core/runtime/token-bucket.ts'
import type { Call } from '../../proto/grpc-server.ts'
import type { AdminAudit } from './admin-audit.ts'
import { authenticate } from './admin-authentication.ts'
import type { AdminAuthorization } from './admin-authorization.ts'
import type { AdminPeer } from './admin-peer.ts'
import type { AdminCaller, AdminUser } from './admin-user.ts'
import type { AccessRule, AdminMethod } from './permissions.ts'

/** Calls of one user; each may cost the API server a question and the ledger a search. */
const RATE = { burst: 100, perSecond: 20 }
const MAX_USERS = 10_000

interface Dependencies {
  readonly clock: Clock
  readonly userOfToken: (token: string, signal: AbortSignal) => Promise<AdminUser>
  readonly peerOf: (name: string) => AdminPeer | undefined
  readonly authorization: Pick<AdminAuthorization, 'check'>
  readonly audit: AdminAudit
}

/** What a call asks to do, as the table of permissions has it. */
export interface Demand {
  readonly method: AdminMethod
  readonly rule: AccessRule
  readonly target: string
}

/** Lets calls in, or says why not; either way it is recorded. */
export class AdminGuard {
  readonly #deps: Dependencies
  readonly #rates: TokenBuckets

  constructor(deps: Dependencies) {
    this.#deps = deps
    this.#rates = new TokenBuckets(deps.clock, RATE, MAX_USERS)
  }

  /**
   * @returns who calls.
   * @throws {@link IdentityError}: who it is is not known, it may not, or it asks too often.
   */
  async admit(
    demand: Demand,
    { peer, metadata, signal }: Pick<Call, 'peer' | 'metadata' | 'signal'>,
  ): Promise<AdminUser> {
    const { clock, userOfToken, peerOf, authorization, audit } = this.#deps
    const call = { ...demand, peer }
    let caller: AdminCaller | undefined
    try {
      caller = await authenticate(metadata, peerOf(peer), { userOfToken, now: () => clock.now() }, signal)
      this.#checkRate(caller.user)
      await authorization.check(caller.user, demand.rule, signal)
    } catch (error) {
      audit.refused(call, caller, error)
      throw error
    }
    audit.allowed(call, caller)
    return caller.user
  }

  #checkRate({ name }: AdminUser): void {
    const retryAfterMs = this.#rates.take(name)
    if (retryAfterMs > 0) throw new IdentityError('overloaded', 'too many calls of one user', { retryAfterMs })
  }
}
