import { beforeAll, expect, test } from 'vitest'
import { parseCertificate } from '../../core/pki/certificate.ts'
import { generateKeyPair } from '../../core/pki/key.ts'
import { createAuthorityCertificate } from '../../core/spiffe/authority-certificate.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import type { AuthoritySlot } from './authority-slot.ts'
import { BACKDATE_MS } from './authorities.ts'
import { nextStep, type RotationPolicy } from './rotation.ts'

const START = Date.parse('2026-11-21T00:00:00Z')
const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const after = (milliseconds: number) => new Date(START + milliseconds)

let privateKey: AuthoritySlot['privateKey']
beforeAll(async () => {
  privateKey = (await generateKeyPair('ec-p256')).privateKey
})

function slot(lifetimeMs: number, change: Partial<AuthoritySlot> = {}): AuthoritySlot {
  const certificate = parseCertificate(
    createAuthorityCertificate({
      trustDomain: TrustDomain.parse('prod.example'),
      serialNumber: Uint8Array.of(1),
      notBefore: after(-BACKDATE_MS),
      notAfter: after(lifetimeMs),
      privateKey,
    }),
  )
  const keyId = certificate.subjectKeyIdentifier?.toString('hex') ?? ''
  const made = { keyId, certificate, chain: [], anchor: certificate, privateKey, wrappedKey: '', preparedAt: after(0) }
  return { ...made, state: 'active', longestLeafMs: lifetimeMs / 4, trustedUntil: undefined, ...change }
}

const policy = (lifetimeMs: number): RotationPolicy => ({
  lifetimeMs,
  leastDelayMs: lifetimeMs / 10,
  deadlineMs: lifetimeMs / 4,
  longestLeafMs: lifetimeMs / 4,
})

const LIVES = [
  { name: '20 s', lifetimeMs: 20_000, marginMs: 5_000 },
  { name: '2 h', lifetimeMs: 2 * HOUR, marginMs: 30 * MINUTE },
  { name: '4 h', lifetimeMs: 4 * HOUR, marginMs: HOUR },
  { name: '14 days', lifetimeMs: 14 * DAY, marginMs: HOUR },
]

test.for(LIVES)('of a life of $name, the next authority is prepared at half', ({ lifetimeMs }) => {
  const step = (at: number) => nextStep([slot(lifetimeMs)], after(at), policy(lifetimeMs), true)
  expect(step(lifetimeMs / 2 - 1)).toBeUndefined()
  expect(step(lifetimeMs / 2)).toEqual({ do: 'prepare' })
})

test.for(LIVES)('of a life of $name, an old authority goes $marginMs ms after its last leaf', (life) => {
  const { lifetimeMs, marginMs } = life
  const trustedUntil = after(lifetimeMs / 4)
  const old = slot(lifetimeMs, { keyId: 'old', state: 'old', trustedUntil })
  const slots = [old, slot(4 * lifetimeMs)]
  const step = (at: number) => nextStep(slots, new Date(trustedUntil.getTime() + at), policy(lifetimeMs), true)
  expect(step(marginMs)).toBeUndefined()
  expect(step(marginMs + 1)).toEqual({ do: 'retire', keyId: 'old' })
})
