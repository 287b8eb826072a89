import { describe, expect, test } from 'vitest'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { systemRandom } from '../runtime/random.ts'
import { SpiffeId } from '../spiffe/spiffe-id.ts'
import { x509SvidTemplate } from '../spiffe/x509-svid.ts'
import { createAuthorityCertificate } from '../spiffe/authority-certificate.ts'
import { TrustDomain } from '../spiffe/trust-domain.ts'
import { encodeTbs, issuerOf } from './certificate-builder.ts'
import { CertificateForm } from './certificate-form.ts'
import type { CertificateTemplate } from './certificate-template.ts'
import { parseCertificate } from './certificate.ts'
import { generateKeyPair, type KeyType, spkiOf } from './key.ts'
import { newSerialNumber } from './serial-number.ts'

const clock = new FakeClock('2026-01-01T00:00:00Z')
const { privateKey } = await generateKeyPair('ec-p256')
const authority = createAuthorityCertificate({
  trustDomain: TrustDomain.parse('prod.example'),
  serialNumber: newSerialNumber(clock, systemRandom),
  notBefore: clock.now(),
  notAfter: new Date('2060-01-01T00:00:00Z'),
  privateKey,
})
const issuer = issuerOf(parseCertificate(authority), privateKey)

interface Change extends Partial<CertificateTemplate> {
  readonly keyType?: KeyType
}

async function template({ keyType = 'ec-p256', ...change }: Change = {}): Promise<CertificateTemplate> {
  const { publicKey } = await generateKeyPair(keyType)
  const template = x509SvidTemplate({
    id: SpiffeId.parse('spiffe://prod.example/ns/shop/sa/cart'),
    spki: spkiOf(publicKey),
    keyType,
    dnsNames: ['cart.shop.svc'],
    serialNumber: newSerialNumber(clock, systemRandom),
    notBefore: new Date('2026-01-01T00:00:00Z'),
    notAfter: new Date('2026-01-01T01:00:00Z'),
  })
  return { ...template, ...change }
}

async function aForm(change: Change = {}): Promise<CertificateForm> {
  const first = await template(change)
  const form = CertificateForm.of(encodeTbs(first, issuer), first)
  if (!form) throw new Error('no form')
  return form
}

describe.for(['ec-p256', 'ec-p384', 'rsa-2048'] as const)('a form for %s', (keyType) => {
  test('filled in is what the encoder makes, whatever serial number, validity and key', async () => {
    const form = await aForm({ keyType })
    for (let turn = 0; turn < 6; turn += 1) {
      await clock.advance(997_000)
      const notBefore = new Date(Math.floor(clock.now().getTime() / 1000) * 1000)
      const notAfter = new Date(notBefore.getTime() + 86_400_000 * turn)
      const other = await template({ keyType, notBefore, notAfter })
      expect(form.fillIn(other)).toEqual(encodeTbs(other, issuer))
    }
  }, 30_000)
})

test('what was filled in before does not stay in the form', async () => {
  const form = await aForm()
  const [one, two] = [await template(), await template()]
  const first = form.fillIn(one)
  form.fillIn(two)
  expect(first).toEqual(encodeTbs(one, issuer))
  expect(form.fillIn(one)).toEqual(encodeTbs(one, issuer))
})

test.for<{ name: string; change: Change }>([
  { name: 'a key of another kind', change: { keyType: 'ec-p384' } },
  { name: 'a shorter serial number', change: { serialNumber: Uint8Array.of(0x40, 1) } },
  { name: 'a serial number that begins with a zero', change: { serialNumber: new Uint8Array(16) } },
  { name: 'a serial number that needs a zero before it', change: { serialNumber: new Uint8Array(16).fill(0x80) } },
  { name: 'an end in a time of the other type', change: { notAfter: new Date('2050-01-01T00:00:00Z') } },
])('does not fit $name', async ({ change }) => {
  const form = await aForm()
  expect(form.fillIn(await template(change))).toBeUndefined()
})

test('there is none of what holds a part twice, or not at all', async () => {
  const one = await template()
  const tbs = encodeTbs(one, issuer)
  expect(CertificateForm.of(Buffer.concat([tbs, one.serialNumber]), one)).toBeUndefined()
  expect(CertificateForm.of(tbs, await template())).toBeUndefined()
})
