import { IdentityError } from '../../core/runtime/errors.ts'
import type { AttestedNode, TokenFacts } from './attested.ts'
import { attestToken, type TokenAuthorities } from './token-attestor.ts'

/** Finds out which node an agent runs on, by the agent's own pod-bound token. */
export class NodeAttestor {
  readonly #authorities: TokenAuthorities
  readonly #agents: ReadonlySet<string>

  /** @param agents the ServiceAccounts that are agents, each as `namespace/name`. */
  constructor(authorities: TokenAuthorities, agents: readonly string[]) {
    this.#authorities = authorities
    this.#agents = new Set(agents)
  }

  /**
   * @throws {@link IdentityError} `agent_not_allowed`, and what {@link attestToken} throws. The caller learns only that
   *   the attestation was refused: whoever probes shall not learn how far he came.
   */
  attest(token: string, signal: AbortSignal): Promise<AttestedNode> {
    const accept = ({ namespace, serviceAccount }: TokenFacts) => {
      if (this.#agents.has(`${namespace}/${serviceAccount}`)) return
      throw new IdentityError('agent_not_allowed', 'the ServiceAccount is not listed as an agent', {
        cause: new Error(`${namespace}/${serviceAccount} is not in attestation.agents`),
      })
    }
    return attestToken(this.#authorities, { token, accept }, signal)
  }
}
