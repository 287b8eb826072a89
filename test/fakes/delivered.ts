import { selfSign, issuerOf, signCertificate } from '../../core/pki/certificate-builder.ts'
import { parseCertificate } from '../../core/pki/certificate.ts'
import { generateKeyPair, pkcs8Of, spkiOf } from '../../core/pki/key.ts'
import { x509Bundle } from '../../core/spiffe/bundle.ts'
import { SpiffeId } from '../../core/spiffe/spiffe-id.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { x509SvidTemplate } from '../../core/spiffe/x509-svid.ts'
import type { Delivered } from '../../agent/workloads/workload.ts'

const notBefore = new Date('2026-01-01T00:00:00Z')
const notAfter = new Date('2036-01-01T00:00:00Z')

/** What a broker would have delivered, signed by an authority of its own. */
export async function someDelivered(change: { id?: string; hint?: string } = {}): Promise<Delivered> {
  const id = SpiffeId.parse(change.id ?? 'spiffe://prod.example/ns/shop/sa/cart')
  const trustDomain = TrustDomain.parse(id.trustDomain.toString())
  const authorityKey = (await generateKeyPair('ec-p256')).privateKey
  const authority = parseCertificate(
    selfSign(
      {
        serialNumber: Uint8Array.of(1),
        notBefore,
        notAfter,
        subject: { commonName: 'authority' },
        spki: spkiOf(authorityKey),
        uri: trustDomain.id,
        dnsNames: [],
        basicConstraints: { isCa: true },
        keyUsage: ['keyCertSign', 'cRLSign'],
        extendedKeyUsage: [],
      },
      authorityKey,
    ),
  )
  const { privateKey } = await generateKeyPair('ec-p256')
  const serialNumber = Uint8Array.of(0x42, 0x17)
  const spki = spkiOf(privateKey)
  const leaf = signCertificate(
    x509SvidTemplate({ id, spki, keyType: 'ec-p256', serialNumber, notBefore, notAfter }),
    issuerOf(authority, authorityKey),
  )
  const partner = x509Bundle(TrustDomain.parse('partner.example'), [authority])
  return {
    svid: {
      id,
      chain: [leaf],
      privateKey: pkcs8Of(privateKey),
      notAfter,
      hint: change.hint ?? '',
      serialNumber: '4217',
    },
    bundles: { own: x509Bundle(trustDomain, [authority]), federated: [partner] },
  }
}
