import { Buffer } from 'node:buffer'
import { hash } from 'node:crypto'
import type { CertificateTemplate } from '../../core/pki/certificate-template.ts'
import { type Certificate, parseCertificate } from '../../core/pki/certificate.ts'
import { serialToHex } from '../../core/pki/serial-number.ts'
import { x509SvidViolations } from '../../core/spiffe/x509-svid-rules.ts'

/** Identities whose certificates are remembered; each takes about 1 KiB. */
const MAX_KNOWN = 10_000
/** SEQUENCE with a length of two octets, as every certificate of ours begins. */
const HEADER_BYTES = 4

/** The signed part of a certificate that was read back and found good, with what differs from one to the next blanked. */
interface Known {
  readonly blanked: Buffer
  readonly offsets: readonly number[]
}

/**
 * Reads back what was signed: it must keep every rule of the X509-SVID standard, and say what was intended.
 *
 * Reading takes a third of what an issuance allocates. So a certificate that differs from one which was read back, of the
 * same identity and issuer, in nothing but serial number, validity and key (compared byte by byte) is not read again.
 */
export class CertificateCheck {
  readonly #known = new Map<string, Known>()

  /**
   * @returns how it was found good.
   * @throws {TypeError} if the certificate is not what was intended: a bug, and it must not leave the process.
   */
  check(der: Buffer, template: CertificateTemplate, authorityKeyId: string): 'read' | 'compared' {
    const parts = variableParts(template)
    const { uri, dnsNames, subject, spki } = template
    const shape = `${authorityKeyId} ${spki.length} ${uri} ${dnsNames.join()} ${JSON.stringify(subject)}`
    const known = this.#known.get(shape)
    if (known && isLike(known, signedPart(der), parts)) return 'compared'

    checkRead(parseCertificate(der), template)
    const learnt = blank(signedPart(der), parts)
    if (learnt) this.#learn(shape, learnt)
    return 'read'
  }

  #learn(shape: string, known: Known): void {
    if (this.#known.size >= MAX_KNOWN) {
      const [oldest] = this.#known.keys()
      if (oldest !== undefined) this.#known.delete(oldest)
    }
    this.#known.set(shape, known)
  }
}

/** What differs between two certificates of one identity, as it stands in them. */
function variableParts({ serialNumber, notBefore, notAfter, spki }: CertificateTemplate): Buffer[] {
  const keyIdentifier = hash('sha256', spki, 'buffer').subarray(0, 20)
  return [Buffer.from(serialNumber), utcTime(notBefore), utcTime(notAfter), Buffer.from(spki), keyIdentifier]
}

function utcTime(date: Date): Buffer {
  return Buffer.from(`${date.toISOString().slice(2, 19).replaceAll(/[-:T]/g, '')}Z`, 'latin1')
}

/** TBSCertificate, header included; a certificate that begins in another way gives an empty one. */
function signedPart(der: Buffer): Buffer {
  if (der[HEADER_BYTES] !== 0x30 || der[HEADER_BYTES + 1] !== 0x82) return Buffer.alloc(0)
  return der.subarray(HEADER_BYTES, 2 * HEADER_BYTES + der.readUInt16BE(HEADER_BYTES + 2))
}

/** `undefined` unless each part stands in it exactly once. */
function blank(signed: Buffer, parts: readonly Buffer[]): Known | undefined {
  const offsets = parts.map((part) => (signed.indexOf(part) === signed.lastIndexOf(part) ? signed.indexOf(part) : -1))
  if (offsets.includes(-1)) return undefined
  // It stays: `Buffer.from` would keep a whole slab of what buffers share with it.
  const blanked = Buffer.alloc(signed.length)
  signed.copy(blanked)
  for (const [index, part] of parts.entries()) blanked.fill(0, offsets[index], (offsets[index] ?? 0) + part.length)
  return { blanked, offsets }
}

function isLike({ blanked, offsets }: Known, signed: Buffer, parts: readonly Buffer[]): boolean {
  if (signed.length !== blanked.length) return false
  const copy = Buffer.from(signed)
  for (const [index, part] of parts.entries()) {
    const offset = offsets[index] ?? 0
    if (copy.compare(part, 0, part.length, offset, offset + part.length) !== 0) return false
    copy.fill(0, offset, offset + part.length)
  }
  return copy.equals(blanked)
}

function checkRead(certificate: Certificate, template: CertificateTemplate): void {
  const [violation] = x509SvidViolations(certificate)
  if (violation) throw new TypeError(`the certificate is no X.509-SVID: ${violation}`)
  const { uris, dnsNames, spki, serialNumber, notBefore, notAfter } = certificate
  const isAsIntended =
    uris[0] === template.uri &&
    dnsNames.length === template.dnsNames.length &&
    dnsNames.every((name, index) => name === template.dnsNames[index]) &&
    spki.equals(template.spki) &&
    serialNumber === serialToHex(template.serialNumber) &&
    notBefore.getTime() === template.notBefore.getTime() &&
    notAfter.getTime() === template.notAfter.getTime()
  if (!isAsIntended) throw new TypeError('the certificate does not say what was intended')
}
