import { X509Certificate } from 'node:crypto'
import { expect, test } from 'vitest'
import { type Issuer, issuerOf } from '../../core/pki/certificate-builder.ts'
import type { CertificateTemplate } from '../../core/pki/certificate-template.ts'
import { parseCertificate } from '../../core/pki/certificate.ts'
import { generateKeyPair, type KeyType, spkiOf } from '../../core/pki/key.ts'
import { newSerialNumber } from '../../core/pki/serial-number.ts'
import { systemRandom } from '../../core/runtime/random.ts'
import { createAuthorityCertificate } from '../../core/spiffe/authority-certificate.ts'
import { SpiffeId } from '../../core/spiffe/spiffe-id.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { x509SvidTemplate } from '../../core/spiffe/x509-svid.ts'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { checkCertificate } from './certificate-check.ts'
import { CertificateForms } from './certificate-forms.ts'

const clock = new FakeClock('2026-01-01T00:00:00Z')

async function anAuthority(): Promise<{ issuer: Issuer; der: Buffer }> {
  const { privateKey } = await generateKeyPair('ec-p256')
  const der = createAuthorityCertificate({
    trustDomain: TrustDomain.parse('prod.example'),
    serialNumber: newSerialNumber(clock, systemRandom),
    notBefore: clock.now(),
    notAfter: new Date('2027-01-01T00:00:00Z'),
    privateKey,
  })
  return { issuer: issuerOf(parseCertificate(der), privateKey), der }
}

interface Change {
  readonly path?: string
  readonly keyType?: KeyType
  readonly dnsNames?: string[]
  readonly commonName?: string
}

async function template({ path = 'cart', keyType = 'ec-p256', ...names }: Change = {}): Promise<CertificateTemplate> {
  const { publicKey } = await generateKeyPair(keyType)
  return x509SvidTemplate({
    id: SpiffeId.parse(`spiffe://prod.example/ns/shop/sa/${path}`),
    spki: spkiOf(publicKey),
    keyType,
    serialNumber: newSerialNumber(clock, systemRandom),
    notBefore: clock.now(),
    notAfter: new Date(clock.now().getTime() + 3_600_000),
    ...names,
  })
}

/** Every one is read back here, which the forms themselves do for the first alone. */
test('whatever comes after whatever says what was intended, and OpenSSL verifies it', async () => {
  const forms = new CertificateForms()
  const authorities = [await anAuthority(), await anAuthority()]
  const changes: Change[] = [
    {},
    { path: 'card' },
    { keyType: 'ec-p384' },
    { keyType: 'rsa-2048' },
    { dnsNames: ['cart.shop.svc'] },
    { dnsNames: ['cart.shop.svc', 'card.shop.svc'] },
    { dnsNames: ['card.shop.svc', 'cart.shop.svc'] },
    { commonName: 'cart' },
    { commonName: 'card' },
  ]
  for (const change of [...changes, ...changes.toReversed(), ...changes]) {
    for (const authority of authorities) {
      await clock.advance(1000)
      const wanted = await template(change)
      const der = forms.sign(wanted, authority.issuer)
      checkCertificate(der, wanted)
      expect(new X509Certificate(der).subject).toBe(change.commonName && `CN=${change.commonName}`)
      expect(new X509Certificate(der).verify(new X509Certificate(authority.der).publicKey)).toBe(true)
    }
  }
}, 30_000)

test('what was signed is read back before it becomes a form: a certificate that is no SVID does not leave', async () => {
  const forms = new CertificateForms()
  const authority = await anAuthority()
  const wanted = { ...(await template()), keyUsage: ['keyCertSign'] as const }
  for (let turn = 0; turn < 2; turn += 1) {
    expect(() => forms.sign(wanted, authority.issuer)).toThrow('the certificate is no X.509-SVID')
  }
})
