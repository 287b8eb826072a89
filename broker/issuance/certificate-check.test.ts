import { expect, test } from 'vitest'
import type { CertificateTemplate } from '../../core/pki/certificate-template.ts'
import { parseCertificate } from '../../core/pki/certificate.ts'
import { issuerOf, signCertificate } from '../../core/pki/certificate-builder.ts'
import { generateKeyPair, type KeyType, spkiOf } from '../../core/pki/key.ts'
import { newSerialNumber } from '../../core/pki/serial-number.ts'
import { systemRandom } from '../../core/runtime/random.ts'
import { createAuthorityCertificate } from '../../core/spiffe/authority-certificate.ts'
import { SpiffeId } from '../../core/spiffe/spiffe-id.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { x509SvidTemplate } from '../../core/spiffe/x509-svid.ts'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { checkCertificate } from './certificate-check.ts'

const clock = new FakeClock('2026-01-01T00:00:00Z')
const at = (hours: number) => new Date(clock.now().getTime() + hours * 3_600_000)
const { privateKey } = await generateKeyPair('ec-p256')
const authority = createAuthorityCertificate({
  trustDomain: TrustDomain.parse('prod.example'),
  serialNumber: newSerialNumber(clock, systemRandom),
  notBefore: at(-1),
  notAfter: at(300),
  privateKey,
})
const issuer = issuerOf(parseCertificate(authority), privateKey)

async function template(
  change: { path?: string; hours?: number; keyType?: KeyType } = {},
): Promise<CertificateTemplate> {
  const { path = 'cart', hours = 1, keyType = 'ec-p256' } = change
  const { publicKey } = await generateKeyPair(keyType)
  return x509SvidTemplate({
    id: SpiffeId.parse(`spiffe://prod.example/ns/shop/sa/${path}`),
    spki: spkiOf(publicKey),
    keyType,
    serialNumber: newSerialNumber(clock, systemRandom),
    notBefore: at(0),
    notAfter: at(hours),
  })
}

test.for(['ec-p256', 'ec-p384', 'rsa-2048'] as const)('what was intended is found good: %s', async (keyType) => {
  const wanted = await template({ keyType })
  expect(() => checkCertificate(signCertificate(wanted, issuer), wanted)).not.toThrow()
})

test.for<{ name: string; made: object }>([
  { name: 'another identity of the same length', made: { path: 'card' } },
  { name: 'another end', made: { hours: 2 } },
  { name: 'another key and serial number', made: {} },
  { name: 'another kind of key', made: { keyType: 'rsa-2048' } },
])('what is not as intended is found: $name', async ({ made }) => {
  const wanted = await template()
  const der = signCertificate(await template(made), issuer)
  expect(() => checkCertificate(der, wanted)).toThrow('the certificate does not say what was intended')
})

test('what is no SVID is found, whatever was intended', async () => {
  const wanted = { ...(await template()), keyUsage: ['keyCertSign'] as const }
  expect(() => checkCertificate(signCertificate(wanted, issuer), wanted)).toThrow('the certificate is no X.509-SVID')
})
