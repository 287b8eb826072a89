import type { CertificateTemplate } from '../../core/pki/certificate-template.ts'
import type { ProvenKey } from '../../core/pki/csr.ts'
import { publicKeySha256 } from '../../core/pki/key.ts'
import { newSerialNumber, serialToHex } from '../../core/pki/serial-number.ts'
import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { Random } from '../../core/runtime/random.ts'
import type { SpiffeId } from '../../core/spiffe/spiffe-id.ts'
import { x509SvidTemplate } from '../../core/spiffe/x509-svid.ts'
import { BACKDATE_MS } from '../ca/authorities.ts'
import type { SigningAuthorities, SigningAuthority } from '../ca/authority.ts'
import type { IssuanceIntent, IssuanceLog } from '../ledger/ledger.ts'
import { CertificateForms } from './certificate-forms.ts'
import type { FailPoint } from './fail-point.ts'

/** Everything that was decided about a certificate before an authority is chosen. */
export interface SigningOrder extends Pick<
  IssuanceIntent,
  'kind' | 'nodeName' | 'pod' | 'template' | 'tokenId' | 'reviewed'
> {
  readonly id: SpiffeId
  readonly key: ProvenKey
  readonly ttlMs: number
  readonly dnsNames?: readonly string[]
  readonly commonName?: string | undefined
}

/** What was signed. */
export interface SignedX509Svid {
  readonly id: SpiffeId
  /** DER: leaf first, then intermediates; no root. */
  readonly chain: readonly Uint8Array[]
  readonly serialNumber: string
  readonly notAfter: Date
  /** From the moment of issuance, for clocks that disagree with ours. */
  readonly lifetimeMs: number
}

interface Dependencies {
  readonly authorities: SigningAuthorities
  readonly ledger: IssuanceLog
  readonly clock: Clock
  readonly random: Random
  readonly failPoint?: FailPoint | undefined
}

/** Steps 6 to 9 of the cycle (docs/issuance-cycle.md): the same for workloads, agents and the broker itself. */
export class X509SvidSigner {
  readonly #deps: Dependencies
  readonly #forms = new CertificateForms()

  constructor(deps: Dependencies) {
    this.#deps = deps
  }

  /** @throws `IdentityError` `authority_unavailable`, `store_unavailable`, `store_corrupt`, `overloaded`. */
  async sign(order: SigningOrder): Promise<SignedX509Svid> {
    const { authorities, ledger, clock, random, failPoint } = this.#deps
    // Step 6: the authority that signs, and the validity it allows.
    if (failPoint) await failPoint('6 authority')
    const now = clock.now()
    const authority = authorities.signing(now)
    const serialNumber = newSerialNumber(clock, random)
    const template = x509SvidTemplate({
      id: order.id,
      spki: order.key.spki,
      keyType: order.key.keyType,
      dnsNames: order.dnsNames ?? [],
      commonName: order.commonName,
      serialNumber,
      ...validityOf(order, authority, now),
    })

    // Step 7: the intent is on the disk before anything is signed (invariant 2).
    if (failPoint) await failPoint('7 intent')
    const serial = serialToHex(serialNumber)
    await ledger.intend([intentOf(order, template, { serial, authorityKeyId: authority.keyId })])

    // Step 8: sign, and read back what was signed.
    if (failPoint) await failPoint('8 sign')
    let der: Buffer
    try {
      der = this.#forms.sign(template, authority.issuer)
    } catch (error) {
      ledger.conclude([{ serialNumber: serial, outcome: 'failed' }])
      throw error
    }

    // Step 9: not waited for; without a result the intent counts as issued.
    if (failPoint) await failPoint('9 result')
    ledger.conclude([{ serialNumber: serial, outcome: 'issued' }])
    return {
      id: order.id,
      chain: [der, ...authority.chain],
      serialNumber: serial,
      notAfter: template.notAfter,
      lifetimeMs: template.notAfter.getTime() - now.getTime(),
    }
  }
}

/** Whole seconds, 60 s back, and never beyond the issuer's own validity on either side (design §8). */
function validityOf(
  { ttlMs }: SigningOrder,
  { notBefore: issuerBegins, notAfter: issuerEnds }: SigningAuthority,
  now: Date,
): { notBefore: Date; notAfter: Date } {
  const wholeSeconds = (milliseconds: number) => new Date(Math.floor(milliseconds / 1000) * 1000)
  const notAfter = wholeSeconds(Math.min(now.getTime() + ttlMs, issuerEnds.getTime()))
  if (notAfter <= now) {
    throw new IdentityError('authority_unavailable', 'the authority ends too soon to sign anything; try again', {
      retryAfterMs: 5000,
    })
  }
  // An upstream that was made a moment ago, or a clock that was set back: whoever looks at a chain as of its leaf's
  // beginning would find no issuer.
  const notBefore = wholeSeconds(Math.max(now.getTime() - BACKDATE_MS, issuerBegins.getTime()))
  return { notBefore, notAfter }
}

function intentOf(
  order: SigningOrder,
  { notBefore, notAfter }: CertificateTemplate,
  { serial, authorityKeyId }: { readonly serial: string; readonly authorityKeyId: string },
): IssuanceIntent {
  const { kind, id, key, nodeName, pod, template, tokenId, reviewed } = order
  return {
    kind,
    serialNumber: serial,
    spiffeId: id.toString(),
    publicKeySha256: publicKeySha256(key.spki),
    authorityKeyId,
    notBefore,
    notAfter,
    nodeName,
    ...(pod && { pod }),
    template,
    tokenId,
    reviewed,
  }
}
