import { Buffer } from 'node:buffer'
import asn1, { type Asn1 } from 'node-forge/lib/asn1.js'
import { TAG } from './der-tags.ts'
import { oidContents } from './oid.ts'

/** A value to be encoded. What these functions build is canonical, provided that a SET's members are given in order. */
export type DerNode = Asn1

const CONSTRUCTED = 0x20

/** The DER encoding of `node`. */
export function encodeDer(node: DerNode): Buffer {
  return Buffer.from(asn1.toDer(node).getBytes(), 'latin1')
}

/** One encoding out of others, without taking them apart: a header with identifier octet `tag` before the bytes of `parts`. */
export function joined(tag: number, parts: readonly Uint8Array[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  const lengthOctets = length < 0x80 ? 0 : length < 0x1_00 ? 1 : length < 0x1_00_00 ? 2 : 3
  const der = Buffer.allocUnsafe(2 + lengthOctets + length)
  der[0] = tag
  // X.690 §10.1: the definite form, in the fewest octets.
  if (lengthOctets === 0) der[1] = length
  else {
    der[1] = 0x80 | lengthOctets
    der.writeUIntBE(length, 2, lengthOctets)
  }
  let offset = 2 + lengthOctets
  for (const part of parts) {
    der.set(part, offset)
    offset += part.length
  }
  return der
}

/** A SEQUENCE; members that are `undefined` (OPTIONAL, DEFAULT) are left out. */
export function sequence(...members: (DerNode | undefined)[]): DerNode {
  return constructed(TAG.sequence, members)
}

/** A SET of one member: all that names need. */
export function setOf(member: DerNode): DerNode {
  return constructed(TAG.set, [member])
}

/** A constructed value with identifier octet `tag`. */
export function constructed(tag: number, members: (DerNode | undefined)[]): DerNode {
  const present = members.filter((member) => member !== undefined)
  return asn1.create(tag & 0xc0, tag & 0x1f, (tag & CONSTRUCTED) !== 0, present)
}

/** A primitive value with identifier octet `tag` and these contents. */
export function primitive(tag: number, contents: Uint8Array): DerNode {
  return asn1.create(tag & 0xc0, tag & 0x1f, false, binary(contents))
}

/** Puts an encoding that is already there in its place: `der` must be one whole DER value, with a low tag number. */
export function encoded(der: Uint8Array): DerNode {
  const lengthOctet = der[1] ?? 0
  const contents = der.subarray(lengthOctet < 0x80 ? 2 : 2 + (lengthOctet & 0x7f))
  // node-forge joins class and number into the identifier octet, so the whole octet may stand for the number.
  return asn1.create(0, der[0] ?? 0, false, binary(contents))
}

/** `node`, encoded once and for all: for what is put into many certificates. */
export function constant(node: DerNode): DerNode {
  return encoded(encodeDer(node))
}

export function boolean(value: boolean): DerNode {
  return asn1.create(0, TAG.boolean, false, value ? '\xff' : '\x00')
}

/** An INTEGER from at most 2^31 - 1, or from its magnitude, most significant octet first. Never negative. */
export function integer(value: number | Uint8Array): DerNode {
  if (typeof value === 'number') return integer(Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value))
  const first = value.findIndex((octet) => octet !== 0)
  const magnitude = first === -1 ? Uint8Array.of(0) : value.subarray(first)
  const sign = (magnitude[0] ?? 0) >= 0x80 ? '\x00' : ''
  return asn1.create(0, TAG.integer, false, sign + binary(magnitude))
}

export function nullValue(): DerNode {
  return asn1.create(0, TAG.null, false, '')
}

export function oid(dotted: string): DerNode {
  return asn1.create(0, TAG.oid, false, oidContents(dotted))
}

export function octetString(contents: Uint8Array): DerNode {
  return primitive(TAG.octetString, contents)
}

/** An OCTET STRING that holds the encoding of `node`, as the value of every extension does. */
export function octetStringOf(node: DerNode): DerNode {
  return asn1.create(0, TAG.octetString, false, asn1.toDer(node).getBytes())
}

/** A BIT STRING whose last octet has `unused` bits that do not count. */
export function bitString(bits: Uint8Array, unused = 0): DerNode {
  return asn1.create(0, TAG.bitString, false, String.fromCharCode(unused) + binary(bits))
}

/** A value whose contents are `text`, which is ASCII: the restricted character strings, and times. */
export function ascii(tag: number, text: string): DerNode {
  // node-forge would cut characters down to their lowest octet.
  // oxlint-disable-next-line no-control-regex
  if (!/^[\x00-\x7f]*$/.test(text)) throw new TypeError('the text is not ASCII')
  return asn1.create(tag & 0xc0, tag & 0x1f, false, text)
}

/** A UTF8String. */
export function utf8String(text: string): DerNode {
  return primitive(TAG.utf8String, Buffer.from(text, 'utf8'))
}

function binary(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}
