import { Buffer } from 'node:buffer'
import asn1, { type Asn1 } from 'node-forge/lib/asn1.js'
import { IdentityError } from '../runtime/errors.ts'
import { checkContents } from './der-contents.ts'

/** Far more than a certificate needs: the widest RSA certificate with a hundred DNS names stays below 8 KiB. */
const MAX_BYTES = 64 * 1024
/** A certificate nests 8 deep. node-forge parses by recursion, so that this bounds its stack too. */
const MAX_DEPTH = 24

/** One value of strict DER. Its bytes are views of a private copy of what was read: treat them as read-only. */
export class DerValue {
  /** The identifier octet: class, form and number of the tag, see {@link TAG}. */
  readonly tag: number
  /** What a constructed value holds; empty for a primitive one. */
  readonly children: readonly DerValue[]
  readonly #bytes: Buffer
  readonly #start: number
  readonly #contentsStart: number
  readonly #end: number

  /** Lays `parsed` over the bytes it was parsed from; only sound once {@link readDer} knows them to be canonical. */
  constructor(parsed: Asn1, bytes: Buffer, start: number) {
    const lengthOctet = bytes.readUInt8(start + 1)
    const lengthOctets = lengthOctet < 0x80 ? 0 : lengthOctet & 0x7f
    this.tag = bytes.readUInt8(start)
    this.#bytes = bytes
    this.#start = start
    this.#contentsStart = start + 2 + lengthOctets
    this.#end = this.#contentsStart + (lengthOctets === 0 ? lengthOctet : bytes.readUIntBE(start + 2, lengthOctets))

    const children: DerValue[] = []
    let next = this.#contentsStart
    for (const child of Array.isArray(parsed.value) ? parsed.value : []) {
      const value = new DerValue(child, bytes, next)
      children.push(value)
      next = value.#end
    }
    this.children = children
    checkContents(this)
  }

  /** The whole encoding: identifier, length and contents. */
  get raw(): Buffer {
    return this.#bytes.subarray(this.#start, this.#end)
  }

  /** The contents octets alone. */
  get contents(): Buffer {
    return this.#bytes.subarray(this.#contentsStart, this.#end)
  }
}

/**
 * Reads one value of strict DER (X.690 §10-11) that fills `bytes` to the last.
 *
 * node-forge parses more than DER: indefinite and padded lengths, padded integers. So what it parsed is encoded again,
 * and must come out as it went in; what the contents of each type must look like is checked beside that. Defaults that
 * are spelled out are left to whoever knows the schema.
 *
 * @param options.maxBytes refused beyond this, before anything is parsed. Default 65,536.
 * @throws {@link IdentityError} `der_invalid`.
 */
export function readDer(bytes: Uint8Array, { maxBytes = MAX_BYTES }: { maxBytes?: number } = {}): DerValue {
  if (bytes.length > maxBytes) throw new IdentityError('der_invalid', `DER of more than ${maxBytes} bytes`)
  const copy = Buffer.from(bytes)
  const binary = copy.toString('latin1')
  return new DerValue(parseCanonical(binary), copy, 0)
}

/** What node-forge makes of `binary`, provided that it encodes to exactly the same again. */
function parseCanonical(binary: string): Asn1 {
  let parsed: Asn1
  let encoded: string
  try {
    parsed = asn1.fromDer(binary, { strict: true, parseAllBytes: true, decodeBitStrings: false, maxDepth: MAX_DEPTH })
    encoded = asn1.toDer(parsed).getBytes()
  } catch (error) {
    throw new IdentityError('der_invalid', 'the bytes are not DER', { cause: error })
  }
  if (encoded !== binary) throw new IdentityError('der_invalid', 'the bytes are BER, but not DER')
  return parsed
}
