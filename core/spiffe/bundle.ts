import { Buffer } from 'node:buffer'
import { IdentityError } from '../runtime/errors.ts'
import { parseAnchor, type Certificate } from '../pki/certificate.ts'
import { pemDecode, pemEncode } from '../pki/pem.ts'
import { TAG } from '../pki/der-tags.ts'
import type { TrustDomain } from './trust-domain.ts'

/** The X.509 authorities of one trust domain: what its SVIDs, and no others, are validated with. Plain data. */
export interface X509Bundle {
  readonly trustDomain: TrustDomain
  /** In the order they were given, each once. None at all means that no SVID of the domain is valid. */
  readonly authorities: readonly Certificate[]
  /** Grows with each change (SPIFFE Trust Domain and Bundle §4.1.1); 0 where the source says none. */
  readonly sequence: bigint
  /** How often to look for a newer one, in whole seconds. */
  readonly refreshHintSeconds?: number | undefined
}

const CERTIFICATE = 'CERTIFICATE'
const MAX_CERTIFICATES = 1000

/** A bundle of these authorities; one that is given twice counts once. */
export function x509Bundle(
  trustDomain: TrustDomain,
  authorities: readonly Certificate[],
  options: { sequence?: bigint; refreshHintSeconds?: number | undefined } = {},
): X509Bundle {
  const { sequence = 0n, refreshHintSeconds } = options
  const byDer = new Map(authorities.map((authority) => [authority.der.toString('latin1'), authority]))
  return { trustDomain, authorities: [...byDer.values()], sequence, refreshHintSeconds }
}

/**
 * Reads PEM of CERTIFICATE blocks alone.
 *
 * @throws {@link IdentityError} `pem_invalid`, `bundle_invalid` for blocks of another label, `certificate_invalid`.
 */
export function bundleFromPem(trustDomain: TrustDomain, pem: string): X509Bundle {
  const blocks = pemDecode(pem)
  const other = blocks.find(({ label }) => label !== CERTIFICATE)
  if (other) throw new IdentityError('bundle_invalid', `a bundle holds CERTIFICATE blocks only, not ${other.label}`)
  return x509Bundle(
    trustDomain,
    blocks.map(({ der }) => parseAnchor(der)),
  )
}

/**
 * Reads DER certificates one after the other, as the Workload API carries them. No bytes at all are an empty bundle.
 *
 * @throws {@link IdentityError} `certificate_invalid`.
 */
export function bundleFromDer(trustDomain: TrustDomain, der: Uint8Array): X509Bundle {
  return x509Bundle(trustDomain, splitDerCertificates(der).map(parseAnchor))
}

/** The authorities as PEM; the empty text for none. */
export function bundleToPem({ authorities }: X509Bundle): string {
  return authorities.map(({ der }) => pemEncode(CERTIFICATE, der)).join('')
}

/** The authorities as DER, one after the other. */
export function bundleToDer({ authorities }: X509Bundle): Buffer {
  return Buffer.concat(authorities.map(({ der }) => der))
}

/** Whether both trust the same: domain and authorities, in whatever order. Sequence and hint say nothing about that. */
export function bundlesTrustTheSame(one: X509Bundle, other: X509Bundle): boolean {
  const key = ({ authorities }: X509Bundle): string =>
    authorities
      .map(({ der }) => der.toString('base64'))
      .sort()
      .join()
  return one.trustDomain.equals(other.trustDomain) && key(one) === key(other)
}

/**
 * Splits DER certificates that stand one after the other, as the Workload API carries chains and bundles. Only where
 * one ends is looked at: what it is, is for `parseAnchor` to say.
 *
 * @returns views of `der`, at most 1000; none for no bytes.
 * @throws {@link IdentityError} `certificate_invalid`.
 */
export function splitDerCertificates(der: Uint8Array): Uint8Array[] {
  const certificates: Uint8Array[] = []
  for (let rest = der; rest.length > 0;) {
    const length = certificateLength(rest)
    if (length > rest.length) refuse('is cut off')
    if (certificates.length === MAX_CERTIFICATES) refuse(`holds more than ${MAX_CERTIFICATES}`)
    certificates.push(rest.subarray(0, length))
    rest = rest.subarray(length)
  }
  return certificates
}

/** The bytes that the SEQUENCE at the start of `der` takes, header included. */
function certificateLength(der: Uint8Array): number {
  const [tag, lengthOctet = 0, ...more] = der.subarray(0, 5)
  if (tag !== TAG.sequence) refuse('holds what is no certificate')
  if (lengthOctet < 0x80) return 2 + lengthOctet
  const lengthOctets = lengthOctet & 0x7f
  // Three octets reach 16 MiB. The indefinite form (none) is not DER.
  if (lengthOctets === 0 || lengthOctets > 3) refuse('holds what is no certificate')
  return 2 + lengthOctets + more.slice(0, lengthOctets).reduce((length, octet) => length * 256 + octet, 0)
}

function refuse(what: string): never {
  throw new IdentityError('certificate_invalid', `the list of certificates ${what}`)
}
