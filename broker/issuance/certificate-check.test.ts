import { describe, expect, test } from 'vitest'
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
import { CertificateCheck } from './certificate-check.ts'

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

/** A check that has seen a good certificate of the identity. */
async function learnt(): Promise<CertificateCheck> {
  const check = new CertificateCheck()
  const first = await template()
  check.check(signCertificate(first, issuer), first, 'aa')
  return check
}

test.for(['ec-p256', 'ec-p384', 'rsa-2048'] as const)(
  'the first of an identity and kind of key is read, the others are compared: %s',
  async (keyType) => {
    const check = new CertificateCheck()
    const seen: string[] = []
    for (const hours of [1, 2, 3]) {
      const wanted = await template({ hours, keyType })
      seen.push(check.check(signCertificate(wanted, issuer), wanted, 'aa'))
    }
    expect(seen).toEqual(['read', 'compared', 'compared'])
  },
)

describe('after a good one of the same identity, what is not as intended is still found', () => {
  test.for<{ name: string; made: object }>([
    { name: 'another identity of the same length', made: { path: 'card' } },
    { name: 'another end', made: { hours: 2 } },
    { name: 'another key and serial number', made: {} },
    { name: 'another kind of key', made: { keyType: 'rsa-2048' } },
  ])('$name', async ({ made }) => {
    const check = await learnt()
    const wanted = await template()
    const der = signCertificate(await template(made), issuer)
    expect(() => check.check(der, wanted, 'aa')).toThrow('the certificate does not say what was intended')
  })

  test('one octet anywhere in what is signed', async () => {
    let check = await learnt()
    const wanted = await template()
    const good = signCertificate(wanted, issuer)
    const end = 8 + good.readUInt16BE(6)
    for (let offset = 4; offset < end; offset += 1) {
      const bad = Buffer.from(good)
      bad[offset] = (bad[offset] ?? 0) ^ 0x01
      let found = 'refused'
      try {
        found = check.check(bad, wanted, 'aa')
      } catch {
        // Refused.
      }
      // What the template does not say (issuer, key identifiers) may be read and keep every rule; it is never taken for
      // the known one. A new check each time, for what was read would be the known one then.
      expect(['refused', 'read'], `octet ${offset}`).toContain(found)
      if (found === 'read') check = await learnt()
    }
  })
})
