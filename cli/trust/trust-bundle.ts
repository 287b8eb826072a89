import { IdentityError } from '../../core/runtime/errors.ts'
import { decodeBundleDocument } from '../../core/spiffe/bundle-document.ts'
import { bundleFromPem, type X509Bundle } from '../../core/spiffe/bundle.ts'
import { SpiffeId } from '../../core/spiffe/spiffe-id.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'

/** Stands in while nobody has said which trust domain a bundle is of. */
const UNNAMED = TrustDomain.parse('unnamed')

/**
 * Reads a bundle, PEM or SPIFFE document. Neither says of which trust domain it is: if `named` does not, its authorities
 * do, by their own SPIFFE ID (X509-SVID §4.2), as far as they have one and agree.
 *
 * @throws {@link IdentityError} `bundle_invalid`.
 */
export function readTrustBundle(text: string, named: TrustDomain | undefined): X509Bundle {
  const bundle = parse(text, named ?? UNNAMED)
  if (named) return bundle
  const domains = new Set(bundle.authorities.flatMap(({ uris }) => uris.slice(0, 1).map(domainOf)))
  const [only, ...more] = [...domains].filter((domain) => domain !== undefined)
  if (only === undefined || more.length > 0)
    throw new IdentityError(
      'bundle_invalid',
      'the bundle does not say of which trust domain it is: give --trust-domain',
    )
  return { ...bundle, trustDomain: TrustDomain.parse(only) }
}

function parse(text: string, trustDomain: TrustDomain): X509Bundle {
  return text.trimStart().startsWith('{')
    ? decodeBundleDocument(trustDomain, text).x509
    : bundleFromPem(trustDomain, text)
}

function domainOf(uri: string): string | undefined {
  try {
    return SpiffeId.parse(uri).trustDomain.toString()
  } catch {
    return undefined
  }
}
