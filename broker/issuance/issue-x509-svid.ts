import { parseCsr, type ProvenKey } from '../../core/pki/csr.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { AttestedPod } from '../attestation/attested.ts'
import type { WorkloadIdentity } from '../registration/workload-identity.ts'
import { checkBatch, type X509SvidItem } from './batch-shape.ts'
import type { FailPoint } from './fail-point.ts'
import type { IssuanceRates } from './issuance-rates.ts'
import type { RefusalAudit } from './refusal-audit.ts'
import type { SigningBudget } from './signing-budget.ts'
import type { SignedX509Svid, X509SvidSigner } from './x509-svid-signer.ts'

/** The decisions that the cycle asks for; each refuses by throwing an `IdentityError`. */
export interface IssuanceDecisions {
  attest(
    evidence: {
      readonly token: string
      readonly podUid: string
      readonly nodeName: string
      readonly nodeUid?: string | undefined
    },
    signal: AbortSignal,
  ): Promise<AttestedPod>
  identityOf(pod: AttestedPod, signal: AbortSignal): Promise<WorkloadIdentity>
  /** The deny list: throws `identity_denied`. */
  checkNotDenied(identity: WorkloadIdentity, pod: AttestedPod, key: ProvenKey): void
}

interface Dependencies {
  readonly decisions: IssuanceDecisions
  readonly signer: X509SvidSigner
  readonly budget: SigningBudget
  readonly rates: IssuanceRates
  readonly audit: RefusalAudit
  readonly failPoint?: FailPoint | undefined
}

/** Who asks: the agent of a node, as its certificate says. */
export interface IssuanceCaller {
  readonly nodeName: string
  readonly nodeUid?: string | undefined
  readonly signal: AbortSignal
}

/** What becomes of an item. */
export type X509SvidOutcome =
  | { readonly requestId: string; readonly svid: SignedX509Svid; readonly hint: string }
  | { readonly requestId: string; readonly refusal: unknown }

/** The issuance cycle for workloads. Its numbered steps are those of docs/issuance-cycle.md. */
export class X509SvidIssuance {
  readonly #deps: Dependencies
  readonly #maxBatch: number

  constructor(deps: Dependencies, { maxBatch }: { readonly maxBatch: number }) {
    this.#deps = deps
    this.#maxBatch = maxBatch
  }

  /**
   * One outcome for each item, in the order asked.
   *
   * @throws `IdentityError` for a batch that is wrong in itself (step 1).
   */
  async issue(items: readonly X509SvidItem[], caller: IssuanceCaller): Promise<X509SvidOutcome[]> {
    // Step 1: shape.
    checkBatch(items, this.#maxBatch)
    const provenKeys = new Set<string>()
    return Promise.all(items.map((item) => this.#outcome(item, caller, provenKeys)))
  }

  async #outcome(item: X509SvidItem, caller: IssuanceCaller, provenKeys: Set<string>): Promise<X509SvidOutcome> {
    const facts: Record<string, string> = { nodeName: caller.nodeName, podUid: item.podUid }
    try {
      const { budget, rates } = this.#deps
      rates.checkNode(caller.nodeName)
      return await budget.run(item.urgency, () => this.#issueOne(item, caller, { provenKeys, facts }), caller.nodeName)
    } catch (refusal) {
      this.#deps.audit.refused('issuance_refused', refusal, facts)
      return { requestId: item.requestId, refusal }
    }
  }

  /** `facts` gathers what is known, so that the record of a refusal says as much as there was to say. */
  async #issueOne(
    { requestId, token, podUid, csr }: X509SvidItem,
    { nodeName, nodeUid, signal }: IssuanceCaller,
    { provenKeys, facts }: { readonly provenKeys: Set<string>; readonly facts: Record<string, string> },
  ): Promise<X509SvidOutcome> {
    const { decisions, signer, rates, failPoint } = this.#deps
    signal.throwIfAborted()
    // Step 2: which pod is it, and is it on the calling agent's node (invariants 3 and 4)?
    if (failPoint) await failPoint('2 attest')
    const pod = await decisions.attest({ token, podUid, nodeName, nodeUid }, signal)
    facts['namespace'] = pod.namespace
    facts['podName'] = pod.podName
    facts['serviceAccount'] = pod.serviceAccount
    facts['tokenId'] = pod.tokenId
    rates.checkPod(pod.podUid)

    // Step 3: which identity has it?
    if (failPoint) await failPoint('3 register')
    const identity = await decisions.identityOf(pod, signal)
    facts['spiffeId'] = identity.id.toString()
    facts['template'] = identity.template

    // Step 4: nothing but the proven key leaves the request (invariant 1).
    if (failPoint) await failPoint('4 request')
    const key = parseCsr(csr)
    checkKey(key, identity, provenKeys)

    // Step 5: is it denied?
    if (failPoint) await failPoint('5 deny list')
    decisions.checkNotDenied(identity, pod, key)

    // Steps 6 to 9.
    const svid = await signer.sign({
      kind: 'workload',
      id: identity.id,
      key,
      ttlMs: identity.ttlMs,
      dnsNames: identity.dnsNames,
      commonName: identity.commonName,
      nodeName,
      pod: { namespace: pod.namespace, name: pod.podName, uid: pod.podUid, serviceAccount: pod.serviceAccount },
      template: identity.template,
      tokenId: pod.tokenId,
      reviewed: pod.reviewed,
    })

    // Step 10: answer.
    if (failPoint) await failPoint('10 answer')
    return { requestId, svid, hint: identity.hint }
  }
}

function checkKey(key: ProvenKey, identity: WorkloadIdentity, provenKeys: Set<string>): void {
  if (key.keyType !== identity.keyType) {
    throw new IdentityError('key_type_required', `the template demands a key of type ${identity.keyType}`, {
      facts: { keyType: identity.keyType },
    })
  }
  const proven = key.spki.toString('latin1')
  if (provenKeys.has(proven)) throw new IdentityError('batch_duplicate', 'two requests of the batch have the same key')
  provenKeys.add(proven)
}
