import { IdentityError } from '../runtime/errors.ts'
import type { Certificate } from './certificate.ts'
import { OID } from './oid.ts'
import { verifyWith } from './signature-algorithm.ts'
import { isVerificationKey } from './verification-key.ts'

/** A path longer than this is refused before anything is verified. */
export const MAX_CHAIN = 8

export interface ChainOptions {
  /** What the leaf is used for; each certificate that limits its purposes must then allow it. Default: not looked at. */
  readonly purpose?: 'serverAuth' | 'clientAuth'
}

/**
 * Validates the path from `chain[0]` to one of `anchors` (RFC 5280 §6.1): signatures, names, validity, CA flag, key
 * usage, path length, purposes, and no critical extension that is not understood. Each certificate of `chain` certifies
 * the one before it; what comes after the first that an anchor certifies is not needed and not looked at.
 *
 * An anchor is trusted as it stands: it may be an intermediate, its own signature is not verified. Its validity, CA
 * flag, key usage and path length count.
 *
 * @param chain leaf first, 1 to 8 certificates. What a leaf must be is left to the caller.
 * @param anchors those of one trust domain.
 * @returns the path that was found: the leaf, the intermediates that were needed, the anchor.
 * @throws {@link IdentityError} `chain_untrusted`.
 */
export function verifyChain(
  chain: readonly Certificate[],
  anchors: readonly Certificate[],
  at: Date,
  { purpose }: ChainOptions = {},
): Certificate[] {
  if (chain.length === 0) untrusted('the chain is empty')
  if (chain.length > MAX_CHAIN) untrusted(`the chain has more than ${MAX_CHAIN} certificates`)

  // Names are cheap, and anybody can write them; signatures are dear. None is verified with a key that comes from the
  // peer before the certificate with that key is known to be an anchor's, or vouched for by one.
  for (const [index, certificate] of chain.entries()) {
    const below = chain[index - 1]
    if (below && !namesIssuer(below, certificate)) break
    const anchor = anchors.find(
      (candidate) => namesIssuer(certificate, candidate) && isSignedBy(certificate, candidate),
    )
    if (!anchor) continue
    const path = [...chain.slice(0, index + 1), anchor]
    checkSignatures(path)
    checkPath(path, at, purpose)
    return path
  }
  return leadsNowhere()
}

/** Whether `issuer` may be the one that signed `certificate`, as its names and its key identifiers say. */
function namesIssuer({ issuer: name, authorityKeyIdentifier }: Certificate, issuer: Certificate): boolean {
  if (!name.equals(issuer.subject)) return false
  return !(authorityKeyIdentifier && issuer.subjectKeyIdentifier?.equals(authorityKeyIdentifier) === false)
}

function isSignedBy({ signatureAlgorithm, tbs, signature }: Certificate, { spki }: Certificate): boolean {
  return !!signatureAlgorithm && isVerificationKey(spki) && verifyWith(signatureAlgorithm, tbs, spki, signature)
}

/** From the anchor down, the one link apart that is known to be good: each key is vouched for before it is used. */
function checkSignatures(path: readonly Certificate[]): void {
  for (let index = path.length - 3; index >= 0; index -= 1) {
    const [certificate, issuer] = path.slice(index, index + 2)
    if (!certificate || !issuer || !isSignedBy(certificate, issuer)) leadsNowhere()
  }
}

/** What must hold of each certificate of a path whose signatures are good. */
function checkPath(path: readonly Certificate[], at: Date, purpose: ChainOptions['purpose']): void {
  let intermediates = 0
  for (const [index, certificate] of path.entries()) {
    checkValidity(certificate, at)
    const [unknown] = certificate.unknownCriticalExtensions
    if (unknown) untrusted(`a certificate of the chain has the extension ${unknown}, which is not understood`)
    if (purpose) checkPurpose(certificate, purpose)
    if (index === 0) continue
    checkAuthority(certificate, intermediates)
    // RFC 5280 §4.2.1.9: what an authority issues to itself does not count.
    if (!certificate.subject.equals(certificate.issuer)) intermediates += 1
  }
}

function checkValidity({ notBefore, notAfter }: Certificate, at: Date): void {
  if (at < notBefore) untrusted(`a certificate of the chain is not valid before ${notBefore.toISOString()}`)
  // notAfter is the last second that counts (RFC 5280 §4.1.2.5), to its end.
  if (at.getTime() >= notAfter.getTime() + 1000)
    untrusted(`a certificate of the chain expired at ${notAfter.toISOString()}`)
}

function checkAuthority({ basicConstraints, keyUsage }: Certificate, intermediates: number): void {
  if (!basicConstraints?.isCa) return untrusted('a certificate of the chain was issued by one that is no CA')
  if (keyUsage && !keyUsage.has('keyCertSign')) untrusted('an authority of the chain must not sign certificates')
  const { pathLength } = basicConstraints
  if (pathLength !== undefined && intermediates > pathLength)
    untrusted('an authority of the chain allows no path so long')
}

function checkPurpose({ extendedKeyUsage }: Certificate, purpose: 'serverAuth' | 'clientAuth'): void {
  const allowed = extendedKeyUsage ?? [OID.anyExtendedKeyUsage]
  if (!allowed.includes(OID[purpose]) && !allowed.includes(OID.anyExtendedKeyUsage)) {
    untrusted(`a certificate of the chain is not for ${purpose}`)
  }
}

function leadsNowhere(): never {
  return untrusted('the chain does not lead to an authority of the trust domain')
}

function untrusted(what: string): never {
  throw new IdentityError('chain_untrusted', what)
}
