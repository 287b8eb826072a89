import { beforeEach, describe, expect, test } from 'vitest'
import { parseCertificate } from '../../core/pki/certificate.ts'
import { issuerOf } from '../../core/pki/certificate-builder.ts'
import { generateKeyPair, publicKeySha256, spkiOf } from '../../core/pki/key.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { systemRandom } from '../../core/runtime/random.ts'
import { createAuthorityCertificate } from '../../core/spiffe/authority-certificate.ts'
import { SpiffeId } from '../../core/spiffe/spiffe-id.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { MemoryLedger } from '../../test/fakes/memory-ledger.ts'
import type { SigningAuthority } from '../ca/authority.ts'
import { type SigningOrder, X509SvidSigner } from './x509-svid-signer.ts'

const { privateKey } = await generateKeyPair('ec-p256')
const leaf = await generateKeyPair('ec-p256')
const spki = spkiOf(leaf.publicKey)
const HOUR = 3_600_000

let clock: FakeClock
let ledger: MemoryLedger
let authority: SigningAuthority

beforeEach(() => {
  clock = new FakeClock('2026-01-01T00:00:00.700Z')
  ledger = new MemoryLedger()
  const notAfter = new Date(clock.now().getTime() + 2 * HOUR)
  const certificate = parseCertificate(
    createAuthorityCertificate({
      trustDomain: TrustDomain.parse('prod.example'),
      serialNumber: Uint8Array.of(1),
      notBefore: new Date(clock.now().getTime() - 60_000),
      notAfter,
      privateKey,
    }),
  )
  const { notBefore } = certificate
  authority = { keyId: 'aa', issuer: issuerOf(certificate, privateKey), notBefore, notAfter, chain: [] }
})

const order = (change: Partial<SigningOrder> = {}): SigningOrder => ({
  kind: 'workload',
  id: SpiffeId.parse('spiffe://prod.example/ns/shop/sa/cart'),
  key: { spki, keyType: 'ec-p256' },
  ttlMs: HOUR,
  nodeName: 'node-a',
  template: 'default',
  tokenId: 'jti',
  reviewed: true,
  ...change,
})

const sign = (change: Partial<SigningOrder> = {}, failPoint?: (step: string) => void) =>
  new X509SvidSigner({
    authorities: { signing: () => authority },
    ledger,
    clock,
    random: systemRandom,
    failPoint,
  }).sign(order(change))

test('the certificate says what the intent said', async () => {
  const { chain, serialNumber, notAfter, lifetimeMs } = await sign({ dnsNames: ['cart.shop.svc'] })
  const certificate = parseCertificate(chain[0] ?? new Uint8Array())
  expect(certificate).toMatchObject({ serialNumber, notAfter, dnsNames: ['cart.shop.svc'] })
  expect(certificate.notBefore).toEqual(new Date('2025-12-31T23:59:00Z'))
  expect(notAfter).toEqual(new Date('2026-01-01T01:00:00Z'))
  expect(lifetimeMs).toBe(HOUR - 700)
  expect(ledger.intents).toMatchObject([
    { serialNumber, notAfter, publicKeySha256: publicKeySha256(spki), authorityKeyId: 'aa', tokenId: 'jti' },
  ])
  expect(ledger.conclusions).toEqual([{ serialNumber, outcome: 'issued' }])
})

test('serial numbers ascend and never repeat', async () => {
  const serials: string[] = []
  for (let index = 0; index < 20; index += 1) {
    serials.push((await sign()).serialNumber)
    await clock.advance(1)
  }
  expect(serials).toEqual([...new Set(serials)].toSorted())
})

test('a leaf never outlives its issuer', async () => {
  const { notAfter } = await sign({ ttlMs: 24 * HOUR })
  expect(notAfter.getTime()).toBeLessThanOrEqual(authority.notAfter.getTime())
  clock.jump(2 * HOUR - 500)
  await expect(sign()).rejects.toMatchObject({ code: 'authority_unavailable' })
})

test('a leaf never begins before its issuer, which may have been made a moment ago', async () => {
  const notBefore = new Date('2025-12-31T23:59:50Z')
  authority = { ...authority, notBefore }
  const { chain } = await sign()
  expect(parseCertificate(chain[0] ?? Buffer.of()).notBefore).toEqual(notBefore)
})

describe('invariant 2: no signature before the ledger holds the intent', () => {
  test('the step of signing is not come to while the intent is not written', async () => {
    const steps: string[] = []
    ledger.failure = new IdentityError('store_unavailable', 'the disk is full')
    await expect(sign({}, (step) => void steps.push(step))).rejects.toMatchObject({ code: 'store_unavailable' })
    expect(steps).toEqual(['6 authority', '7 intent'])
  })

  test('the ledger has it as the step of signing begins', async () => {
    let held = -1
    await sign({}, (step) => {
      if (step === '8 sign') held = ledger.intents.length
    })
    expect(held).toBe(1)
  })
})

test('a certificate that breaks a rule does not leave, and its intent is concluded as failed', async () => {
  const { issuer } = authority
  authority = { ...authority, issuer: { ...issuer, parts: { ...issuer.parts, authorityKeyIdentifier: undefined } } }
  await expect(sign()).rejects.toThrow('authorityKeyIdentifier is there')
  expect(ledger.conclusions).toMatchObject([{ outcome: 'failed' }])
})
