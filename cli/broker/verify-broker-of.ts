import { parseCertificate } from '../../core/pki/certificate.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { X509Bundle } from '../../core/spiffe/bundle.ts'
import { SpiffeId } from '../../core/spiffe/spiffe-id.ts'
import type { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { verifyBroker } from '../../core/spiffe/verify-broker.ts'

interface Expected {
  readonly at: Date
  /** What the trust domain was taken from. */
  readonly saidBy: string
}

/**
 * As {@link verifyBroker}; a broker of another trust domain than was expected is told of as one, for whoever asked wrote
 * or found the name of that.
 *
 * @throws {@link IdentityError} `chain_untrusted`, `certificate_invalid`.
 */
export function verifyBrokerOf(chain: readonly Uint8Array[], bundle: X509Bundle, { at, saidBy }: Expected): void {
  try {
    verifyBroker(chain, bundle, at)
  } catch (error) {
    const shown = trustDomainOf(chain)
    if (!(error instanceof IdentityError) || !shown || shown.equals(bundle.trustDomain)) throw error
    throw new IdentityError(
      'chain_untrusted',
      `who answers says to be of the trust domain ${shown}, and not of ${bundle.trustDomain} (${saidBy})`,
      { cause: error },
    )
  }
}

/** What a chain that nobody vouches for claims: good for words only. */
function trustDomainOf([leaf]: readonly Uint8Array[]): TrustDomain | undefined {
  try {
    return leaf && SpiffeId.parse(parseCertificate(leaf).uris[0] ?? '').trustDomain
  } catch {
    return undefined
  }
}
