import { Buffer } from 'node:buffer'
import { subjectKeyIdentifierOf } from './certificate-builder.ts'
import type { CertificateTemplate } from './certificate-template.ts'
import { encodeTime } from './time.ts'

/** What differs between two certificates that one issuer makes for one identity. */
type Variable = Pick<CertificateTemplate, 'serialNumber' | 'notBefore' | 'notAfter' | 'spki'>

/** RFC 5280 §4.1.2.5: from this year on a time is written in another type, which is longer. */
const GENERALIZED_TIME_FROM = 2050

/**
 * A TBSCertificate with room for serial number, validity and key: what one issuer signs for one identity is otherwise the
 * same to the last octet. Filling it in takes a tenth of encoding it anew.
 */
export class CertificateForm {
  readonly #tbs: Buffer
  readonly #offsets: readonly number[]
  readonly #lengths: readonly number[]

  private constructor(tbs: Buffer, offsets: readonly number[], lengths: readonly number[]) {
    this.#tbs = tbs
    this.#offsets = offsets
    this.#lengths = lengths
  }

  /**
   * The form of `tbs`, which was encoded from `template`.
   *
   * @returns `undefined` where one of the parts does not stand in it exactly once.
   */
  static of(tbs: Uint8Array, template: Variable): CertificateForm | undefined {
    const parts = partsOf(template)
    if (!parts) return undefined
    // It stays: `Buffer.from` would keep a whole slab of what buffers share with it.
    const blanked = Buffer.alloc(tbs.length)
    blanked.set(tbs)
    const offsets = parts.map((part) => blanked.indexOf(part))
    if (parts.some((part, index) => offsets[index] === -1 || blanked.lastIndexOf(part) !== offsets[index])) {
      return undefined
    }
    for (const [index, { length }] of parts.entries()) blanked.fill(0, offsets[index], (offsets[index] ?? 0) + length)
    const lengths = parts.map(({ length }) => length)
    return new CertificateForm(blanked, offsets, lengths)
  }

  /** @returns the TBSCertificate; `undefined` where `template` has a part of another length, so that it does not fit. */
  fillIn(template: Variable): Buffer | undefined {
    const parts = partsOf(template)
    if (!parts?.every(({ length }, index) => length === this.#lengths[index])) return undefined
    const tbs = Buffer.from(this.#tbs)
    for (const [index, part] of parts.entries()) tbs.set(part, this.#offsets[index])
    return tbs
  }
}

/** Each as it stands in the encoding; `undefined` where its length would depend on more than what it is made of. */
function partsOf({ serialNumber, notBefore, notAfter, spki }: Variable): Uint8Array[] | undefined {
  const [first = 0] = serialNumber
  // An INTEGER drops zeros at its beginning, and gets one where its highest bit is set.
  if (first === 0 || first >= 0x80 || notAfter.getUTCFullYear() >= GENERALIZED_TIME_FROM) return undefined
  return [serialNumber, utcTime(notBefore), utcTime(notAfter), spki, subjectKeyIdentifierOf(spki)]
}

function utcTime(date: Date): Buffer {
  return Buffer.from(encodeTime(date).value as string, 'latin1')
}
