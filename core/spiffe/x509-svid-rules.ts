import type { Certificate } from '../pki/certificate.ts'
import { OID } from '../pki/oid.ts'
import { IdentityError } from '../runtime/errors.ts'
import { SpiffeId } from './spiffe-id.ts'

/**
 * What a validator must refuse of a leaf (X509-SVID §5.2), one sentence for each rule that is broken. Extra DNS names, an
 * empty subject, a missing extKeyUsage and a missing keyUsage are legal in another issuer's SVID.
 */
export function leafViolations(leaf: Certificate): string[] {
  return [
    ...identityViolations(leaf),
    // §5.2 with §4.1
    ...rule(leaf.basicConstraints?.isCa !== true, 'a leaf is no CA (X509-SVID §5.2)'),
    // §5.2 with §4.3
    ...rule(!leaf.keyUsage?.has('keyCertSign'), 'a leaf must not have keyCertSign (X509-SVID §5.2)'),
    ...rule(!leaf.keyUsage?.has('cRLSign'), 'a leaf must not have cRLSign (X509-SVID §5.2)'),
  ]
}

/** What must hold of a leaf that is issued here: all of {@link leafViolations}, and what an issuer owes besides. */
export function x509SvidViolations(leaf: Certificate): string[] {
  const isEmptySubject = leaf.subject.length === 2
  const { keyUsage, extendedKeyUsage, criticalExtensions, basicConstraints } = leaf
  return [
    ...leafViolations(leaf),
    ...rule(
      !isEmptySubject || criticalExtensions.has(OID.subjectAltName),
      'subjectAltName is critical where the subject is empty (RFC 5280 §4.1.2.6)',
    ),
    ...rule(keyUsage?.has('digitalSignature') === true, 'a leaf has digitalSignature (X509-SVID §4.3)'),
    ...rule(criticalExtensions.has(OID.keyUsage), 'keyUsage is there and critical (X509-SVID §4.3)'),
    ...rule(
      extendedKeyUsage?.includes(OID.serverAuth) === true && extendedKeyUsage.includes(OID.clientAuth),
      'extKeyUsage has serverAuth and clientAuth (X509-SVID §4.4)',
    ),
    // Not in the standard, but py-spiffe and rust-spiffe refuse a leaf without it.
    ...rule(basicConstraints !== undefined, 'basicConstraints is there'),
    ...rule(leaf.authorityKeyIdentifier !== undefined, 'authorityKeyIdentifier is there (RFC 5280 §4.2.1.1)'),
  ]
}

/** What must hold of an authority that is ours, root or intermediate (X509-SVID §3.2, §4). */
export function authorityViolations(authority: Certificate): string[] {
  const { basicConstraints, keyUsage, criticalExtensions, extendedKeyUsage, uris } = authority
  return [
    ...rule(basicConstraints?.isCa === true, 'an authority is a CA (X509-SVID §4.1)'),
    ...rule(criticalExtensions.has(OID.basicConstraints), 'basicConstraints is critical (RFC 5280 §4.2.1.9)'),
    ...rule(criticalExtensions.has(OID.keyUsage), 'keyUsage is there and critical (X509-SVID §4.3)'),
    ...rule(keyUsage?.has('keyCertSign') === true, 'an authority has keyCertSign (X509-SVID §4.3)'),
    ...rule(
      [...(keyUsage ?? [])].every((usage) => usage === 'keyCertSign' || usage === 'cRLSign'),
      'an authority has no key usage but keyCertSign and cRLSign (X509-SVID §4.3)',
    ),
    // §4.4 allows it, but some validators apply it to everything below.
    ...rule(extendedKeyUsage === undefined, 'an authority has no extKeyUsage'),
    ...rule(authority.subjectKeyIdentifier !== undefined, 'subjectKeyIdentifier is there (RFC 5280 §4.2.1.2)'),
    ...rule(authority.subject.length > 2, 'the subject is not empty (RFC 5280 §4.1.2.6)'),
    ...rule(uris.length <= 1, 'there is at most one URI (X509-SVID §2)'),
    ...uris.flatMap((uri) => rule(isTrustDomainId(uri), 'the URI is a SPIFFE ID without a path (X509-SVID §3.2)')),
  ]
}

/** X509-SVID §2, §3.1: exactly one URI, and it is a SPIFFE ID with a path. */
function identityViolations({ uris }: Certificate): string[] {
  const [uri] = uris
  if (uri === undefined || uris.length > 1) return [`a leaf has exactly one URI, not ${uris.length} (X509-SVID §2)`]
  try {
    return rule(SpiffeId.parse(uri).path !== '', 'the SPIFFE ID of a leaf has a path (X509-SVID §3.1)')
  } catch (error) {
    if (!(error instanceof IdentityError)) throw error
    return [`${error.message} (SPIFFE-ID §2)`]
  }
}

function isTrustDomainId(uri: string): boolean {
  try {
    return SpiffeId.parse(uri).path === ''
  } catch (error) {
    if (!(error instanceof IdentityError)) throw error
    return false
  }
}

function rule(holds: boolean, sentence: string): string[] {
  return holds ? [] : [sentence]
}
