import { bitString, type DerNode } from './der-encode.ts'

/** The bits of KeyUsage by their position (RFC 5280 §4.2.1.3). */
const BITS = [
  'digitalSignature',
  'contentCommitment',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
  'encipherOnly',
  'decipherOnly',
] as const
export type KeyUsage = (typeof BITS)[number]

/** The BIT STRING of these usages, at least one. Zero bits at its end are left out, for it is a named-bit list (X.690 §11.2.2). */
export function encodeKeyUsage(usages: readonly KeyUsage[]): DerNode {
  const positions = usages.map((usage) => BITS.indexOf(usage))
  const last = Math.max(...positions)
  const octets = new Uint8Array((last >> 3) + 1)
  for (const position of positions) octets[position >> 3] = (octets[position >> 3] ?? 0) | (0x80 >> (position & 7))
  return bitString(octets, 7 - (last & 7))
}

/**
 * The usages in a BIT STRING's contents octets.
 *
 * @returns `undefined` if no bit is set (RFC 5280 forbids it), a zero bit ends the list, or a bit has no name.
 */
export function decodeKeyUsage(contents: Uint8Array): ReadonlySet<KeyUsage> | undefined {
  const [unused = 0, ...octets] = contents
  const count = octets.length * 8 - unused
  const isSet = (position: number): boolean => ((octets[position >> 3] ?? 0) & (0x80 >> (position & 7))) !== 0
  if (count < 1 || count > BITS.length || !isSet(count - 1)) return undefined
  return new Set(BITS.filter((_, position) => isSet(position)))
}
