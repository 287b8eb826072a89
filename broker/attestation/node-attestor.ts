import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { type RateLimits, TokenBuckets } from '../../core/runtime/token-bucket.ts'
import type { AttestedNode, TokenFacts } from './attested.ts'
import { attestToken, type TokenAuthorities } from './token-attestor.ts'

/**
 * Tokens of one agent's pod that the API server is asked about: who has taken it over can make any number of them, each
 * of which must be reviewed anew. Twice as many as there are attestations of a node, for a token may be looked at again
 * after a wait. Of a pod and not of its node: who still has tokens of the pod before keeps none from attesting.
 */
const REVIEWS: RateLimits = { burst: 100, perSecond: 0.2 }

/** Finds out which node an agent runs on, by the agent's own pod-bound token. */
export class NodeAttestor {
  readonly #authorities: TokenAuthorities
  readonly #agents: ReadonlySet<string>
  readonly #reviews: TokenBuckets

  /** @param agents the ServiceAccounts that are agents, each as `namespace/name`. */
  constructor(authorities: TokenAuthorities, agents: readonly string[], clock: Clock) {
    this.#authorities = authorities
    this.#agents = new Set(agents)
    this.#reviews = new TokenBuckets(clock, REVIEWS)
  }

  /**
   * @throws {@link IdentityError} `agent_not_allowed`, `overloaded`, and what {@link attestToken} throws. The caller learns only that
   *   the attestation was refused: whoever probes shall not learn how far he came.
   */
  attest(token: string, signal: AbortSignal): Promise<AttestedNode> {
    const accept = ({ namespace, serviceAccount, podUid }: TokenFacts) => {
      if (!this.#agents.has(`${namespace}/${serviceAccount}`))
        throw new IdentityError('agent_not_allowed', 'the ServiceAccount is not listed as an agent', {
          cause: new Error(`${namespace}/${serviceAccount} is not in attestation.agents`),
        })
      // The cluster has signed the UID, so nobody is charged for what another merely says.
      const retryAfterMs = this.#reviews.take(podUid)
      if (retryAfterMs > 0)
        throw new IdentityError('overloaded', 'too many tokens of one pod of the agent', { retryAfterMs })
    }
    return attestToken(this.#authorities, { token, accept }, signal)
  }
}
