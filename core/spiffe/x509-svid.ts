import type { CertificateTemplate } from '../pki/certificate-template.ts'
import { parseCertificate, type Certificate } from '../pki/certificate.ts'
import { type ChainOptions, MAX_CHAIN, verifyChain } from '../pki/chain.ts'
import { MAX_ATTRIBUTE_CHARACTERS } from '../pki/distinguished-name.ts'
import type { KeyType } from '../pki/key.ts'
import { OID } from '../pki/oid.ts'
import { IdentityError } from '../runtime/errors.ts'
import type { X509Bundle } from './bundle.ts'
import { SpiffeId } from './spiffe-id.ts'
import type { TrustDomain } from './trust-domain.ts'
import { leafViolations } from './x509-svid-rules.ts'

const MAX_DNS_NAME = 253

/** What an X.509-SVID is made of. */
export interface X509SvidRequest {
  readonly id: SpiffeId
  /** SubjectPublicKeyInfo in DER, of a key whose possession is proven. */
  readonly spki: Uint8Array
  readonly keyType: KeyType
  readonly dnsNames?: readonly string[]
  /** For servers that map nothing else; without it the subject is empty. */
  readonly commonName?: string | undefined
  readonly serialNumber: Uint8Array
  readonly notBefore: Date
  readonly notAfter: Date
}

/**
 * The certificate of a workload (X509-SVID §3.1, §4): the ID as its only URI, no CA, digitalSignature, both TLS purposes.
 *
 * @throws {@link IdentityError} `spiffe_id_invalid` for an ID without a path, `certificate_invalid` for a DNS name or a
 *   common name that no certificate may hold.
 */
export function x509SvidTemplate(request: X509SvidRequest): CertificateTemplate {
  const { id, spki, keyType, dnsNames = [], commonName, serialNumber, notBefore, notAfter } = request
  for (const name of dnsNames) checkDnsName(name)
  if (commonName !== undefined) checkCommonName(commonName)
  if (id.path === '') throw new IdentityError('spiffe_id_invalid', 'an SVID has an ID with a path (X509-SVID §3.1)')
  return {
    serialNumber,
    notBefore,
    notAfter,
    subject: commonName === undefined ? {} : { commonName },
    spki,
    uri: id.toString(),
    dnsNames,
    basicConstraints: { isCa: false },
    // X509-SVID §4.3: keyEncipherment means something for RSA alone.
    keyUsage: keyType.startsWith('rsa-') ? ['digitalSignature', 'keyEncipherment'] : ['digitalSignature'],
    extendedKeyUsage: [OID.serverAuth, OID.clientAuth],
  }
}

/** A host name (RFC 1123 §2.1): what GeneralName's dNSName takes (RFC 5280 §4.2.1.6). No wildcard: an SVID is of one workload. */
function checkDnsName(name: string): void {
  const isHostName = /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/i.test(name)
  if (!isHostName || name.length > MAX_DNS_NAME) {
    throw new IdentityError('certificate_invalid', 'a DNS name is not a host name of at most 253 characters')
  }
}

function checkCommonName(name: string): void {
  const { length } = Array.from(name)
  if (length === 0 || length > MAX_ATTRIBUTE_CHARACTERS) {
    throw new IdentityError('certificate_invalid', `a common name has 1 to ${MAX_ATTRIBUTE_CHARACTERS} characters`)
  }
}

/** A peer's SVID that is valid. */
export interface VerifiedX509Svid {
  readonly id: SpiffeId
  readonly leaf: Certificate
  /** Leaf, the intermediates that were needed, and the authority of the bundle. */
  readonly chain: readonly Certificate[]
}

/** The bundle of a trust domain, or `undefined` if none is held. */
type HeldBundles = (trustDomain: TrustDomain) => X509Bundle | undefined

/**
 * Validates a peer's X.509-SVID (X509-SVID §5). Only the bundle of the trust domain that the leaf names is asked for, so
 * that no domain can vouch for another's identities.
 *
 * @param chainDer leaf first, then intermediates, each in DER; at most 8.
 * @throws {@link IdentityError} `certificate_invalid` for a leaf that is no SVID, `chain_untrusted` for one that is not
 *   to be believed.
 */
export function verifyX509Svid(
  chainDer: readonly Uint8Array[],
  bundles: HeldBundles,
  at: Date,
  options?: ChainOptions,
): VerifiedX509Svid {
  return verifyX509SvidChain(readX509SvidChain(chainDer), bundles, at, options)
}

/** The certificates that a peer has shown, not looked at otherwise than for their form. */
export function readX509SvidChain(chainDer: readonly Uint8Array[]): readonly Certificate[] {
  // A path has at most 8 certificates; parsing what comes after them is work for an attacker.
  if (chainDer.length > MAX_CHAIN)
    throw new IdentityError('chain_untrusted', `a chain of ${chainDer.length} certificates`)
  return chainDer.map(parseCertificate)
}

/** As {@link verifyX509Svid}, of certificates that have been read. */
export function verifyX509SvidChain(
  [leaf, ...intermediates]: readonly Certificate[],
  bundles: HeldBundles,
  at: Date,
  options?: ChainOptions,
): VerifiedX509Svid {
  if (!leaf) throw new IdentityError('chain_untrusted', 'the peer sent no certificate')
  const [violation] = leafViolations(leaf)
  if (violation) throw new IdentityError('certificate_invalid', `not an X.509-SVID: ${violation}`)

  const id = SpiffeId.parse(leaf.uris[0] ?? '')
  const bundle = bundles(id.trustDomain)
  // Whatever `bundles` does, another domain's bundle is not used.
  if (!bundle?.trustDomain.equals(id.trustDomain)) {
    throw new IdentityError('chain_untrusted', `no bundle is held for the trust domain ${id.trustDomain}`)
  }
  return { id, leaf, chain: verifyChain([leaf, ...intermediates], bundle.authorities, at, options) }
}
