import type { Buffer } from 'node:buffer'
import { hash, type KeyObject } from 'node:crypto'
import type { CertificateTemplate } from './certificate-template.ts'
import type { Certificate } from './certificate.ts'
import { constant, constructed, type DerNode, encodeDer, encoded, integer, joined, sequence } from './der-encode.ts'
import { contextTag, TAG } from './der-tags.ts'
import { encodeName, isEmptyName } from './distinguished-name.ts'
import * as extension from './extensions.ts'
import { keyTypeOf, spkiOf } from './key.ts'
import { algorithmIdentifier, type SignatureAlgorithm, signatureAlgorithmFor, signWith } from './signature-algorithm.ts'
import { encodeTime } from './time.ts'

/** Who signs: made once for each authority with {@link issuerOf} and used for every certificate. */
export interface Issuer {
  readonly privateKey: KeyObject
  readonly algorithm: SignatureAlgorithm
  /** What is the same in all that it issues. */
  readonly parts: {
    readonly algorithm: DerNode
    readonly encodedAlgorithm: Uint8Array
    readonly name: DerNode
    /** `undefined` where its certificate has no identifier, and for a certificate that signs itself. */
    readonly authorityKeyIdentifier: DerNode | undefined
  }
}

/**
 * The issuer that `certificate` describes.
 *
 * @throws {TypeError} if `privateKey` is not the certificate's.
 */
export function issuerOf(certificate: Certificate, privateKey: KeyObject): Issuer {
  const spki = spkiOf(privateKey)
  if (!spki.equals(certificate.spki)) throw new TypeError('the private key is not that of the certificate')
  return issuer(privateKey, spki, certificate.subject, certificate.subjectKeyIdentifier)
}

/**
 * Signs what `template` says as an X.509 v3 certificate (RFC 5280 §4.1), in DER. Whether the issuer may sign it, now and
 * for so long, is for the caller to know.
 */
export function signCertificate(template: CertificateTemplate, issuer: Issuer): Buffer {
  return signTbs(encodeTbs(template, issuer), issuer)
}

/** The TBSCertificate (RFC 5280 §4.1.2) alone. */
export function encodeTbs(template: CertificateTemplate, { parts }: Issuer): Buffer {
  const { serialNumber, notBefore, notAfter, spki } = template
  const subject = encodeName(template.subject)
  return encodeDer(
    sequence(
      VERSION_3,
      integer(serialNumber),
      parts.algorithm,
      parts.name,
      sequence(encodeTime(notBefore), encodeTime(notAfter)),
      encoded(subject),
      encoded(spki),
      extensionsOf(template, subject, parts.authorityKeyIdentifier),
    ),
  )
}

/** The certificate around a TBSCertificate that names this issuer. */
export function signTbs(tbs: Uint8Array, { privateKey, algorithm, parts }: Issuer): Buffer {
  const signature = signWith(algorithm, tbs, privateKey)
  return joined(TAG.sequence, [tbs, parts.encodedAlgorithm, joined(TAG.bitString, [WHOLE_OCTETS, signature])])
}

/** Signs `template` with the key that it certifies: a root. Its public key must be that of `privateKey`. */
export function selfSign(template: CertificateTemplate, privateKey: KeyObject): Buffer {
  return signCertificate(template, issuer(privateKey, template.spki, encodeName(template.subject), undefined))
}

/** No bit of the last octet is unused. */
const WHOLE_OCTETS = Uint8Array.of(0)
const VERSION_3 = constant(constructed(contextTag(0, 'constructed'), [integer(2)]))

function issuer(
  privateKey: KeyObject,
  spki: Uint8Array,
  name: Uint8Array,
  keyIdentifier: Uint8Array | undefined,
): Issuer {
  const algorithm = signatureAlgorithmFor(keyTypeOf(spki))
  return {
    privateKey,
    algorithm,
    parts: {
      algorithm: constant(algorithmIdentifier(algorithm)),
      encodedAlgorithm: encodeDer(algorithmIdentifier(algorithm)),
      name: encoded(name),
      authorityKeyIdentifier: keyIdentifier && constant(extension.authorityKeyIdentifier(keyIdentifier)),
    },
  }
}

function extensionsOf(template: CertificateTemplate, subject: Uint8Array, authority: DerNode | undefined): DerNode {
  const { extendedKeyUsage, uri, dnsNames } = template
  const hasNames = uri !== undefined || dnsNames.length > 0
  return extension.extensions([
    extension.keyUsage(template.keyUsage),
    extendedKeyUsage.length > 0 ? extension.extendedKeyUsage(extendedKeyUsage) : undefined,
    extension.basicConstraints(template.basicConstraints),
    extension.subjectKeyIdentifier(subjectKeyIdentifierOf(template.spki)),
    authority,
    hasNames ? extension.subjectAltName({ uri, dnsNames }, isEmptyName(subject) ? 'empty' : 'present') : undefined,
  ])
}

/**
 * 160 bits of the SHA-256 of SubjectPublicKeyInfo. RFC 5280 §4.2.1.2 leaves the method to the issuer; so it is the
 * beginning of what revocations and the ledger know the key by, and nothing depends on SHA-1.
 */
export function subjectKeyIdentifierOf(spki: Uint8Array): Buffer {
  return hash('sha256', spki, 'buffer').subarray(0, 20)
}
