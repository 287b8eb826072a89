import type { Buffer } from 'node:buffer'
import type { KeyObject } from 'node:crypto'
import { selfSign, signCertificate, type Issuer } from '../pki/certificate-builder.ts'
import type { CertificateTemplate } from '../pki/certificate-template.ts'
import { MAX_ATTRIBUTE_CHARACTERS } from '../pki/distinguished-name.ts'
import { spkiOf } from '../pki/key.ts'
import { serialToHex } from '../pki/serial-number.ts'
import type { TrustDomain } from './trust-domain.ts'

/** What the certificate of a signing authority is made of. */
export interface AuthorityRequest {
  readonly trustDomain: TrustDomain
  readonly serialNumber: Uint8Array
  readonly notBefore: Date
  readonly notAfter: Date
  /** At most 64 characters. Default: `Countersign authority`. */
  readonly commonName?: string | undefined
}

const COMMON_NAME = 'Countersign authority'

/** The certificate, in DER, of an authority that is a trust anchor: signed by itself, in the bundle. */
export function createAuthorityCertificate(request: AuthorityRequest & { readonly privateKey: KeyObject }): Buffer {
  return selfSign(authorityTemplate(request, spkiOf(request.privateKey), undefined), request.privateKey)
}

/**
 * The certificate, in DER, of an authority that an upstream one vouches for.
 *
 * @param request.spki the authority's own key, SubjectPublicKeyInfo in DER.
 * @param request.pathLength how many authorities may follow below it. Default 0: it signs leaves alone.
 */
export function createIntermediateCertificate(
  request: AuthorityRequest & { readonly spki: Uint8Array; readonly issuer: Issuer; readonly pathLength?: number },
): Buffer {
  const { spki, issuer, pathLength = 0 } = request
  return signCertificate(authorityTemplate(request, spki, pathLength), issuer)
}

/**
 * X509-SVID §3.2 and §4: a CA whose URI is its trust domain, keyCertSign and cRLSign, no purposes. Its name holds its
 * serial number: each authority has another one, so that a leaf's issuer tells which signed it, and validators that
 * choose an issuer by name alone never try the wrong key.
 */
function authorityTemplate(
  { trustDomain, serialNumber, notBefore, notAfter, commonName = COMMON_NAME }: AuthorityRequest,
  spki: Uint8Array,
  pathLength: number | undefined,
): CertificateTemplate {
  return {
    serialNumber,
    notBefore,
    notAfter,
    subject: {
      // A trust domain may be longer than an attribute; the URI says the whole.
      organization: trustDomain.toString().slice(0, MAX_ATTRIBUTE_CHARACTERS),
      commonName,
      serialNumber: serialToHex(serialNumber),
    },
    spki,
    uri: trustDomain.id,
    dnsNames: [],
    basicConstraints: { isCa: true, pathLength },
    keyUsage: ['keyCertSign', 'cRLSign'],
    extendedKeyUsage: [],
  }
}
