import type { Buffer } from 'node:buffer'
import { X509Certificate } from 'node:crypto'
import { IdentityError } from '../runtime/errors.ts'
import { readExtensions, type CertificateExtensions } from './certificate-extensions.ts'
import { DerCursor } from './der-cursor.ts'
import { contextTag, TAG } from './der-tags.ts'
import { type DerValue, readDer } from './der.ts'
import { readSignatureAlgorithm, type SignatureAlgorithm } from './signature-algorithm.ts'
import { decodeTime } from './time.ts'

/** An X.509 v3 certificate as it reads. That it parses says nothing about whether it is to be trusted. */
export interface Certificate extends CertificateExtensions {
  readonly der: Buffer
  /** What the signature is over. */
  readonly tbs: Buffer
  /** `undefined` for an algorithm that is not believed; such a certificate may be an anchor, and nothing else. */
  readonly signatureAlgorithm: SignatureAlgorithm | undefined
  readonly signature: Buffer
  /** Lower-case hex, two digits an octet, without a sign octet. */
  readonly serialNumber: string
  /** Names in DER: names are equal if their bytes are. */
  readonly issuer: Buffer
  readonly subject: Buffer
  readonly notBefore: Date
  /** The last second of its validity. */
  readonly notAfter: Date
  /** SubjectPublicKeyInfo in DER. */
  readonly spki: Buffer
}

const VERSION = contextTag(0, 'constructed')
const ISSUER_UNIQUE_ID = contextTag(1, 'primitive')
const SUBJECT_UNIQUE_ID = contextTag(2, 'primitive')
const EXTENSIONS = contextTag(3, 'constructed')
const V3 = 2
const MAX_SERIAL_OCTETS = 20

/**
 * Reads a certificate (RFC 5280 §4.1).
 *
 * @param der strict DER of at most 65,536 bytes; it is copied.
 * @throws {@link IdentityError} `certificate_invalid`.
 */
export function parseCertificate(der: Uint8Array): Certificate {
  try {
    return readCertificate(readDer(der))
  } catch (error) {
    if (!(error instanceof IdentityError) || error.code !== 'der_invalid') throw error
    throw new IdentityError('certificate_invalid', `the certificate is malformed: ${error.message}`, { cause: error })
  }
}

/**
 * As {@link parseCertificate}, for one that is to be an anchor: OpenSSL must be able to read it and its key as well.
 * Bundles are handed on to TLS stacks, many of which refuse a whole file for one certificate.
 *
 * @throws {@link IdentityError} `certificate_invalid`.
 */
export function parseAnchor(der: Uint8Array): Certificate {
  const certificate = parseCertificate(der)
  try {
    void new X509Certificate(certificate.der).publicKey
  } catch (error) {
    throw new IdentityError('certificate_invalid', 'the certificate holds no valid key', { cause: error })
  }
  return certificate
}

function readCertificate(value: DerValue): Certificate {
  const certificate = new DerCursor(value, TAG.sequence, 'the certificate')
  const tbs = certificate.take(TAG.sequence, 'the part that is signed')
  const outerAlgorithm = certificate.take(TAG.sequence, 'the signature algorithm')
  const signature = certificate.take(TAG.bitString, 'the signature').contents
  certificate.end()
  if (signature[0] !== 0) refuse('its signature is not whole octets')

  const members = new DerCursor(tbs, TAG.sequence, 'the part that is signed')
  checkVersion(members.maybe(VERSION))
  const serialNumber = readSerialNumber(members.take(TAG.integer, 'the serial number'))
  const innerAlgorithm = members.take(TAG.sequence, 'the signature algorithm')
  const issuer = members.take(TAG.sequence, 'the issuer')
  const validity = new DerCursor(members.takeAny('the validity'), TAG.sequence, 'the validity')
  const notBefore = readTime(validity.takeAny('notBefore'))
  const notAfter = readTime(validity.takeAny('notAfter'))
  validity.end()
  const subject = members.take(TAG.sequence, 'the subject')
  const spki = members.take(TAG.sequence, 'the public key')
  members.maybe(ISSUER_UNIQUE_ID)
  members.maybe(SUBJECT_UNIQUE_ID)
  const extensions = readExtensions(members.maybe(EXTENSIONS))
  members.end()

  // RFC 5280 §4.1.1.2. The outer one is not signed, so only the comparison makes it trustworthy.
  if (!outerAlgorithm.raw.equals(innerAlgorithm.raw)) refuse('it names two signature algorithms')
  return {
    ...extensions,
    der: value.raw,
    tbs: tbs.raw,
    signatureAlgorithm: readSignatureAlgorithm(innerAlgorithm),
    signature: signature.subarray(1),
    serialNumber,
    issuer: issuer.raw,
    subject: subject.raw,
    notBefore,
    notAfter,
    spki: spki.raw,
  }
}

/** Only v3 has extensions, and so a SPIFFE ID or a CA flag. */
function checkVersion(version: DerValue | undefined): void {
  const number = version?.children[0]
  if (version?.children.length !== 1 || number?.tag !== TAG.integer || number.contents.length !== 1) {
    return refuse('its version is not v3')
  }
  if (number.contents[0] !== V3) refuse('its version is not v3')
}

/** RFC 5280 §4.1.2.2: at most 20 octets, not negative. Zero is wrong to issue, but roots that have it exist. */
function readSerialNumber({ contents }: DerValue): string {
  if ((contents[0] ?? 0) >= 0x80) refuse('its serial number is negative')
  const magnitude = contents[0] === 0 && contents.length > 1 ? contents.subarray(1) : contents
  if (contents.length > MAX_SERIAL_OCTETS) refuse('its serial number is longer than 20 octets')
  return magnitude.toString('hex')
}

function readTime(value: DerValue): Date {
  return decodeTime(value) ?? refuse('its validity is not written as RFC 5280 §4.1.2.5 has it')
}

function refuse(what: string): never {
  throw new IdentityError('certificate_invalid', `the certificate is malformed: ${what}`)
}
