import { IdentityError } from '../runtime/errors.ts'
import type { X509Bundle } from './bundle.ts'
import { SpiffeId } from './spiffe-id.ts'
import type { TrustDomain } from './trust-domain.ts'
import { verifyX509Svid, type VerifiedX509Svid } from './x509-svid.ts'

/** The one SPIFFE ID of a trust domain's broker (design §1). */
export function brokerId(trustDomain: TrustDomain): SpiffeId {
  return SpiffeId.of(trustDomain, 'countersign', 'broker')
}

/**
 * Whether a chain (DER, leaf first) is the broker's: by the bundle of its own trust domain, and by the one SPIFFE ID. No
 * host name counts.
 *
 * @throws {@link IdentityError} `chain_untrusted`, `certificate_invalid`.
 */
export function verifyBroker(chain: readonly Uint8Array[], bundle: X509Bundle, at: Date): VerifiedX509Svid {
  const { trustDomain } = bundle
  const own = (domain: TrustDomain) => (domain.equals(trustDomain) ? bundle : undefined)
  const verified = verifyX509Svid(chain, own, at, { purpose: 'serverAuth' })
  if (!verified.id.equals(brokerId(trustDomain)))
    throw new IdentityError('chain_untrusted', `the other side is ${verified.id}, not the broker`)
  return verified
}
