import { generateKeyPairSync } from 'node:crypto'
import { beforeAll, describe, expect, test } from 'vitest'
import { spkiOf } from '../../core/pki/key.ts'
import { SpiffeId } from '../../core/spiffe/spiffe-id.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { FakeBrokerAuthorities } from '../../test/fakes/fake-broker-authorities.ts'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { checkNotExpired, judgeAdminPeer } from './admin-peer.ts'

const HOUR = 3_600_000
const clock = new FakeClock('2026-01-01T00:00:00Z')
const spki = spkiOf(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey)

let own: FakeBrokerAuthorities
let other: FakeBrokerAuthorities
beforeAll(async () => {
  own = await FakeBrokerAuthorities.create(TrustDomain.parse('prod.example'), clock)
  other = await FakeBrokerAuthorities.create(TrustDomain.parse('partner.example'), clock)
})

const svid = (id: string, authorities = own) => [authorities.sign(SpiffeId.parse(id), spki, HOUR).der]
const judge = (chain: readonly Uint8Array[], now = clock.now()) => judgeAdminPeer(chain, own.bundle, now)

test('without a certificate nobody is known', () => expect(judge([])).toEqual({ kind: 'anonymous' }))

test('a workload is known by its SPIFFE ID, until its SVID ends', () => {
  const peer = judge(svid('spiffe://prod.example/ns/shop/sa/cart'))
  if (peer.kind !== 'svid') throw new Error('refused')
  expect(peer.id.toString()).toBe('spiffe://prod.example/ns/shop/sa/cart')
  const end = peer.notAfter.getTime()
  expect(() => checkNotExpired(peer, new Date(end + 999))).not.toThrow()
  expect(() => checkNotExpired(peer, new Date(end + 1000))).toThrow(
    expect.objectContaining({ code: 'admin_certificate_invalid' }),
  )
})

describe('refuses', () => {
  test.for<{ name: string; chain: () => readonly Uint8Array[]; says: string }>([
    { name: 'an agent', chain: () => svid('spiffe://prod.example/countersign/agent/node-a'), says: 'is no workload' },
    { name: 'the broker', chain: () => svid('spiffe://prod.example/countersign/broker'), says: 'is no workload' },
    {
      name: 'invariant 5: an SVID of another trust domain',
      chain: () => svid('spiffe://partner.example/ns/shop/sa/cart', other),
      says: 'no SVID of this trust domain',
    },
    {
      name: "invariant 5: an ID of ours that another trust domain's authority has signed",
      chain: () => svid('spiffe://prod.example/ns/shop/sa/cart', other),
      says: 'no SVID of this trust domain',
    },
    { name: 'an authority itself', chain: () => own.bundle.authorities.map(({ der }) => der), says: 'no SVID' },
    { name: 'what is no certificate', chain: () => [Buffer.from('certificate')], says: 'no SVID' },
  ])('$name', ({ chain, says }) => {
    expect(judge(chain())).toMatchObject({
      kind: 'refused',
      error: { code: 'admin_certificate_invalid', message: expect.stringContaining(says) },
    })
  })

  test('an SVID that has expired', () => {
    const later = new Date(clock.now().getTime() + HOUR + 1000)
    expect(judge(svid('spiffe://prod.example/ns/shop/sa/cart'), later)).toMatchObject({
      error: { message: expect.stringContaining('it has expired') },
    })
  })
})
