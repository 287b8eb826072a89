import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { type Issuer, issuerOf } from '../../core/pki/certificate-builder.ts'
import { type Certificate, parseCertificate } from '../../core/pki/certificate.ts'
import { spkiOf } from '../../core/pki/key.ts'
import { createAuthorityCertificate } from '../../core/spiffe/authority-certificate.ts'
import { SpiffeId } from '../../core/spiffe/spiffe-id.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import type { X509SvidRequest } from '../../core/spiffe/x509-svid.ts'

/** When everything that is made here is valid, and for how long around it. */
export const AT = new Date('2026-06-01T12:00:00Z')
const HOUR_MS = 3_600_000
const VALIDITY = { notBefore: new Date(AT.getTime() - HOUR_MS), notAfter: new Date(AT.getTime() + HOUR_MS) }

export const A_EXAMPLE = TrustDomain.parse('a.example')
export const CART = SpiffeId.parse('spiffe://a.example/ns/shop/sa/cart')

/** One key for all leaves: making it is the slow part. */
const leafKey = generateKeyPairSync('ec', { namedCurve: 'P-256' })
let serials = 0

/** A serial number that no other certificate of this run has. */
export function aSerialNumber(): Uint8Array {
  serials += 1
  return Uint8Array.of(0x40, serials >> 8, serials & 0xff)
}

/** A self-signed authority of `trustDomain`. */
export function anAuthority(trustDomain: TrustDomain = A_EXAMPLE): {
  certificate: Certificate
  privateKey: KeyObject
  issuer: Issuer
} {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const der = createAuthorityCertificate({ trustDomain, serialNumber: aSerialNumber(), ...VALIDITY, privateKey })
  const certificate = parseCertificate(der)
  return { certificate, privateKey, issuer: issuerOf(certificate, privateKey) }
}

/** An SVID's ingredients, for {@link CART} unless `changes` says otherwise. */
export function svidRequest(changes: Partial<X509SvidRequest> = {}): X509SvidRequest {
  const spki = spkiOf(leafKey.publicKey)
  return { id: CART, spki, keyType: 'ec-p256', serialNumber: aSerialNumber(), ...VALIDITY, ...changes }
}
