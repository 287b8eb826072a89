import { IdentityError } from '../../core/runtime/errors.ts'
import type { AttestedPod, TokenFacts } from './attested.ts'
import { attestToken, type TokenAuthorities } from './token-attestor.ts'

/** What an agent brings forward for a pod. */
export interface PodEvidence {
  /** The pod's ServiceAccount token as kubelet handed it over. */
  readonly token: string
  /** The pod that the agent asks for. */
  readonly podUid: string
  /** The node of the agent that calls. */
  readonly nodeName: string
  readonly nodeUid?: string | undefined
}

/** Finds out which pod an agent speaks for. */
export class PodAttestor {
  readonly #authorities: TokenAuthorities

  constructor(authorities: TokenAuthorities) {
    this.#authorities = authorities
  }

  /**
   * The pod that the evidence is about: the one asked for, on the calling agent's own node (invariant 4).
   *
   * @throws {@link IdentityError} `workload_mismatch`, `node_mismatch`, and what {@link attestToken} throws.
   */
  attest(evidence: PodEvidence, signal: AbortSignal): Promise<AttestedPod> {
    const accept = (facts: TokenFacts) => checkEvidence(facts, evidence)
    return attestToken(this.#authorities, { token: evidence.token, accept }, signal)
  }
}

function checkEvidence(facts: TokenFacts, { podUid, nodeName, nodeUid }: PodEvidence): void {
  if (facts.podUid !== podUid) {
    throw new IdentityError('workload_mismatch', 'the token is bound to another pod than the one asked for')
  }
  if (facts.nodeName !== nodeName || (nodeUid !== undefined && facts.nodeUid !== nodeUid)) {
    throw new IdentityError('node_mismatch', "the token's pod does not run on the calling agent's node")
  }
}
