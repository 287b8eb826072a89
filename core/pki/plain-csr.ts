import { Buffer } from 'node:buffer'
import { bitString, constructed, encodeDer, encoded, integer, oid, sequence } from './der-encode.ts'
import { contextTag, TAG } from './der-tags.ts'
import { OID } from './oid.ts'
import { algorithmIdentifier, signatureAlgorithmFor } from './signature-algorithm.ts'

/** What is left to judge of a request whose every other octet is as it must be. Views of a copy. */
export interface PlainCsr {
  /** CertificationRequestInfo: what was signed. */
  readonly info: Buffer
  readonly spki: Buffer
  readonly signature: Buffer
}

/** How a plain request is signed. */
export const PLAIN_ALGORITHM = signatureAlgorithmFor('ec-p256')

const POINT_BYTES = 64
const NO_POINT = Buffer.alloc(POINT_BYTES)
const SPKI = encodeDer(
  sequence(sequence(oid(OID.ecPublicKey), oid(OID.prime256v1)), bitString(Buffer.concat([Buffer.of(0x04), NO_POINT]))),
)
const INFO = encodeDer(sequence(integer(0), sequence(), encoded(SPKI), constructed(contextTag(0, 'constructed'), [])))
const ALGORITHM = encodeDer(algorithmIdentifier(PLAIN_ALGORITHM))

/** SEQUENCE, with its length in one octet behind 0x81: such a request has 128 to 255 octets. */
const HEADER_BYTES = 3
/** BIT STRING, its length in one octet, and the number of unused bits. */
const SIGNATURE_HEADER_BYTES = 3
const SPKI_AT = HEADER_BYTES + INFO.indexOf(SPKI)
const POINT_AT = HEADER_BYTES + INFO.indexOf(NO_POINT)
const INFO_END = HEADER_BYTES + INFO.length
const ALGORITHM_END = INFO_END + ALGORITHM.length
const SIGNATURE_AT = ALGORITHM_END + SIGNATURE_HEADER_BYTES

/**
 * Takes apart what nearly every request is: of a P-256 key, with an empty subject, no attributes and ECDSA with SHA-256.
 * But for the point and the signature its octets are the same in all of them, and so are compared, not parsed: a tenth of
 * the work. Whatever is accepted here is strict DER (X.690 §10-11), since these octets are.
 *
 * @returns `undefined` for any other bytes, which may be a request all the same.
 */
export function takePlainCsrApart(der: Uint8Array): PlainCsr | undefined {
  const { length } = der
  // A shorter one has its length in one octet, a longer one in three (X.690 §10.1).
  if (length < HEADER_BYTES + 0x80 || length > HEADER_BYTES + 0xff) return undefined
  const bytes = Buffer.from(der)
  const signature = bytes.subarray(SIGNATURE_AT)
  const isPlain =
    bytes[0] === TAG.sequence &&
    bytes[1] === 0x81 &&
    bytes[2] === length - HEADER_BYTES &&
    isAt(bytes, HEADER_BYTES, INFO, 0, POINT_AT - HEADER_BYTES) &&
    isAt(bytes, POINT_AT + POINT_BYTES, INFO, POINT_AT - HEADER_BYTES + POINT_BYTES, INFO.length) &&
    isAt(bytes, INFO_END, ALGORITHM, 0, ALGORITHM.length) &&
    bytes[ALGORITHM_END] === TAG.bitString &&
    bytes[ALGORITHM_END + 1] === signature.length + 1 &&
    signature.length + 1 < 0x80 &&
    bytes[ALGORITHM_END + 2] === 0
  if (!isPlain) return undefined
  return {
    info: bytes.subarray(HEADER_BYTES, INFO_END),
    spki: bytes.subarray(SPKI_AT, SPKI_AT + SPKI.length),
    signature,
  }
}

/** Whether `bytes` has from `offset` on what `expected` has from `start` to `end`. */
function isAt(bytes: Buffer, offset: number, expected: Buffer, start: number, end: number): boolean {
  return bytes.compare(expected, start, end, offset, offset + end - start) === 0
}
