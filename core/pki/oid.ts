import type { Buffer } from 'node:buffer'

/** Object identifiers, dotted, with the clause that gives them. */
export const OID = {
  // Keys: RFC 5480 §2.1.1, RFC 8017 appendix C
  ecPublicKey: '1.2.840.10045.2.1',
  prime256v1: '1.2.840.10045.3.1.7',
  secp384r1: '1.3.132.0.34',
  secp521r1: '1.3.132.0.35',
  rsaEncryption: '1.2.840.113549.1.1.1',
  // Signatures: RFC 5758 §3.2, RFC 8017 appendix C, RFC 8410 §3
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  ecdsaWithSha384: '1.2.840.10045.4.3.3',
  ecdsaWithSha512: '1.2.840.10045.4.3.4',
  sha256WithRsa: '1.2.840.113549.1.1.11',
  sha384WithRsa: '1.2.840.113549.1.1.12',
  sha512WithRsa: '1.2.840.113549.1.1.13',
  ed25519: '1.3.101.112',
  // Attributes of names: RFC 5280 appendix A.1
  commonName: '2.5.4.3',
  nameSerialNumber: '2.5.4.5',
  organizationName: '2.5.4.10',
  // Extensions: RFC 5280 §4.2.1
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  // Purposes: RFC 5280 §4.2.1.12
  anyExtendedKeyUsage: '2.5.29.37.0',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const

/**
 * The dotted form of an object identifier's contents octets. Exact for arcs of any size: node-forge's own decoder wraps
 * at 2^32, which would let a forged identifier pass for a known one.
 */
export function dottedOid(contents: Buffer): string {
  const known = DOTTED.get(contents.toString('latin1'))
  if (known !== undefined) return known

  const arcs: bigint[] = []
  let arc = 0n
  for (const octet of contents) {
    arc = (arc << 7n) | BigInt(octet & 0x7f)
    if (octet >= 0x80) continue
    arcs.push(arc)
    arc = 0n
  }
  // X.690 §8.19.4: the first two arcs share an octet; the first is 0, 1 or 2.
  const [first = 0n, ...others] = arcs
  const root = first < 40n ? 0n : first < 80n ? 1n : 2n
  return [root, first - root * 40n, ...others].join('.')
}

/** The contents octets of one of {@link OID} as a binary string, the way node-forge takes them. */
export function oidContents(dotted: string): string {
  return CONTENTS.get(dotted) ?? encodeOid(dotted)
}

/** X.690 §8.19.4: the first two arcs share an octet. */
function encodeOid(dotted: string): string {
  const [root = 0, second = 0, ...others] = dotted.split('.').map(Number)
  return String.fromCharCode(...[root * 40 + second, ...others].flatMap(base128))
}

/** An arc in groups of seven bits, all but the last with the high bit set. */
function base128(arc: number): number[] {
  const octets = [arc & 0x7f]
  for (let rest = Math.floor(arc / 128); rest > 0; rest = Math.floor(rest / 128)) octets.unshift((rest & 0x7f) | 0x80)
  return octets
}

const CONTENTS: ReadonlyMap<string, string> = new Map(Object.values(OID).map((dotted) => [dotted, encodeOid(dotted)]))
const DOTTED: ReadonlyMap<string, string> = new Map(Array.from(CONTENTS, ([dotted, contents]) => [contents, dotted]))
