import type { Buffer } from 'node:buffer'
import { hash, type KeyObject } from 'node:crypto'
import type { CertificateTemplate } from './certificate-template.ts'
import type { Certificate } from './certificate.ts'
import { bitString, constructed, encodeDer, encoded, integer, sequence } from './der-encode.ts'
import { contextTag } from './der-tags.ts'
import { encodeName, isEmptyName } from './distinguished-name.ts'
import * as extension from './extensions.ts'
import { keyTypeOf, publicKeyBits, spkiOf } from './key.ts'
import { algorithmIdentifier, type SignatureAlgorithm, signatureAlgorithmFor, signWith } from './signature-algorithm.ts'
import { encodeTime } from './time.ts'

/** Who signs: made once for each authority with {@link issuerOf} and used for every certificate. */
export interface Issuer {
  readonly privateKey: KeyObject
  readonly algorithm: SignatureAlgorithm
  /** The subject of its certificate: a Name in DER. */
  readonly name: Uint8Array
  /** As in its certificate; `undefined` where that has none, and for a certificate that signs itself. */
  readonly keyIdentifier: Uint8Array | undefined
}

/**
 * The issuer that `certificate` describes.
 *
 * @throws {TypeError} if `privateKey` is not the certificate's.
 */
export function issuerOf(certificate: Certificate, privateKey: KeyObject): Issuer {
  const spki = spkiOf(privateKey)
  if (!spki.equals(certificate.spki)) throw new TypeError('the private key is not that of the certificate')
  return {
    privateKey,
    algorithm: signatureAlgorithmFor(keyTypeOf(spki)),
    name: certificate.subject,
    keyIdentifier: certificate.subjectKeyIdentifier,
  }
}

/** Signs what `template` says as an X.509 v3 certificate (RFC 5280 §4.1). */
export function signCertificate(template: CertificateTemplate, issuer: Issuer): Buffer {
  const subject = encodeName(template.subject)
  const { uri, dnsNames } = template
  const tbs = encodeDer(
    sequence(
      constructed(contextTag(0, 'constructed'), [integer(2)]),
      integer(template.serialNumber),
      algorithmIdentifier(issuer.algorithm),
      encoded(issuer.name),
      sequence(encodeTime(template.notBefore), encodeTime(template.notAfter)),
      encoded(subject),
      encoded(template.spki),
      extension.extensions([
        extension.keyUsage(template.keyUsage),
        template.extendedKeyUsage.length > 0 ? extension.extendedKeyUsage(template.extendedKeyUsage) : undefined,
        extension.basicConstraints(template.basicConstraints),
        extension.subjectKeyIdentifier(keyIdentifierOf(template.spki)),
        issuer.keyIdentifier && extension.authorityKeyIdentifier(issuer.keyIdentifier),
        uri !== undefined || dnsNames.length > 0
          ? extension.subjectAltName({ uri, dnsNames }, isEmptyName(subject) ? 'empty' : 'present')
          : undefined,
      ]),
    ),
  )
  const signature = signWith(issuer.algorithm, tbs, issuer.privateKey)
  return encodeDer(sequence(encoded(tbs), algorithmIdentifier(issuer.algorithm), bitString(signature)))
}

/** Signs `template` with the key that it certifies: a root. Its public key must be that of `privateKey`. */
export function selfSign(template: CertificateTemplate, privateKey: KeyObject): Buffer {
  return signCertificate(template, {
    privateKey,
    algorithm: signatureAlgorithmFor(keyTypeOf(template.spki)),
    name: encodeName(template.subject),
    keyIdentifier: undefined,
  })
}

/** The key identifier of RFC 7093 §2, method 1: 160 bits of SHA-256, so that nothing here depends on SHA-1. */
function keyIdentifierOf(spki: Uint8Array): Buffer {
  return hash('sha256', publicKeyBits(spki), 'buffer').subarray(0, 20)
}
