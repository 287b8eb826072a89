import { parseCsr } from '../../core/pki/csr.ts'
import type { Clock } from '../../core/runtime/clock.ts'
import { codeOf, IdentityError } from '../../core/runtime/errors.ts'
import { ERROR_CODES } from '../../core/runtime/error-codes.ts'
import { SpiffeId } from '../../core/spiffe/spiffe-id.ts'
import type { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import type { AttestedNode } from '../attestation/attested.ts'
import type { NodeAttestationRates } from './issuance-rates.ts'
import type { RefusalAudit } from './refusal-audit.ts'
import type { SigningBudget } from './signing-budget.ts'
import type { SignedX509Svid, X509SvidSigner } from './x509-svid-signer.ts'

/** After a longer wait for its turn a token is looked at again. */
const LONGEST_WAIT_MS = 1_000

interface Dependencies {
  /** @throws `IdentityError` with the precise code. */
  readonly attest: (token: string, signal: AbortSignal) => Promise<AttestedNode>
  readonly signer: X509SvidSigner
  /** Of nodes alone: what strangers send waits for nothing that workloads need. */
  readonly budget: SigningBudget
  readonly rates: NodeAttestationRates
  readonly clock: Clock
  readonly audit: RefusalAudit
}

export interface NodeAttestationOptions {
  readonly trustDomain: TrustDomain
  readonly ttlMs: number
}

/** `spiffe://<td>/countersign/agent/<node>` (design §1). */
export function agentId(trustDomain: TrustDomain, nodeName: string): SpiffeId {
  return SpiffeId.of(trustDomain, 'countersign', 'agent', nodeName)
}

/** Gives the agent of a node its own SVID. The same cycle as for pods, with a fixed identity instead of a template. */
export class NodeAttestation {
  readonly #deps: Dependencies
  readonly #options: NodeAttestationOptions

  constructor(deps: Dependencies, options: NodeAttestationOptions) {
    this.#deps = deps
    this.#options = options
  }

  /**
   * @throws `IdentityError` `attestation_refused` for everything that has to do with the token: the caller is not known,
   *   and shall not learn by differences. The audit record has the precise code.
   */
  async issue(
    { token, csr, peer }: { readonly token: string; readonly csr: Uint8Array; readonly peer: string },
    signal: AbortSignal,
  ): Promise<SignedX509Svid> {
    try {
      // No place is held while a token is looked at: anybody may send one whose key must be asked for first. Reviews have
      // bounds of their own.
      const node = await this.#deps.attest(token, signal)
      // The node as it was attested: each answer is two records of the ledger, whoever asks for them.
      this.#deps.rates.checkNode(node.nodeName)
      const attestedAtMs = this.#deps.clock.monotonicMs()
      const issue = async () => this.#issue(await this.#still(node, attestedAtMs, token, signal), csr)
      return await this.#deps.budget.run('newPod', issue, node.nodeName)
    } catch (error) {
      this.#deps.audit.refused('attestation_refused', error, { peer })
      throw toStranger(error)
    }
  }

  /** So that a token does not outlive its pod by the wait as well (design §10). */
  async #still(node: AttestedNode, attestedAtMs: number, token: string, signal: AbortSignal): Promise<AttestedNode> {
    const { clock, attest } = this.#deps
    return clock.monotonicMs() - attestedAtMs > LONGEST_WAIT_MS ? attest(token, signal) : node
  }

  async #issue(node: AttestedNode, csr: Uint8Array): Promise<SignedX509Svid> {
    const key = parseCsr(csr)
    return this.#deps.signer.sign({
      kind: 'agent',
      id: agentId(this.#options.trustDomain, node.nodeName),
      key,
      ttlMs: this.#options.ttlMs,
      // Names of nodes are used again; docs/adr/0008.
      commonName: node.nodeUid,
      nodeName: node.nodeName,
      pod: { namespace: node.namespace, name: node.podName, uid: node.podUid, serviceAccount: node.serviceAccount },
      template: '',
      tokenId: node.tokenId,
      reviewed: node.reviewed,
    })
  }
}

/**
 * Trouble of our own is told so that an agent knows to come back, but not what the API server lets us do; what only its
 * own CSR says is told as it is.
 */
function toStranger(error: unknown): unknown {
  const code = codeOf(error)
  if (code === 'kubernetes_forbidden') {
    return new IdentityError('kubernetes_unavailable', 'the API server cannot be asked about tokens', {
      cause: error,
      retryAfterMs: 5_000,
    })
  }
  const { status } = ERROR_CODES[code]
  if (status === 'UNAUTHENTICATED' || status === 'PERMISSION_DENIED') {
    return new IdentityError('attestation_refused', 'the node could not be attested; the audit record says why', {
      cause: error,
    })
  }
  return error
}
