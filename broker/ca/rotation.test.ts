import { generateKeyPairSync } from 'node:crypto'
import { beforeEach, describe, expect, test } from 'vitest'
import { systemRandom } from '../../core/runtime/random.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { MemoryLedger } from '../../test/fakes/memory-ledger.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { Authorities } from './authorities.ts'
import { KeyWrap } from './key-wrap.ts'
import type { RotationPolicy } from './rotation.ts'
import { selfSignedSource } from './self-signed-source.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const policy: RotationPolicy = { lifetimeMs: 14 * DAY, leastDelayMs: HOUR, deadlineMs: DAY, longestLeafMs: DAY }
const trustDomain = TrustDomain.parse('prod.example')

let clock: FakeClock
let ledger: MemoryLedger
/** Nodes that have not acknowledged, whatever the sequence. */
let missing: string[]

beforeEach(() => {
  clock = new FakeClock('2026-01-01T00:00:00Z')
  ledger = new MemoryLedger()
  missing = []
})

const load = (keyWrap = new KeyWrap(Buffer.alloc(32, 1))) =>
  Authorities.load(
    {
      store: ledger,
      source: selfSignedSource({ trustDomain, keyType: 'ec-p256', clock, random: systemRandom }),
      keyWrap,
      clock,
      unacknowledged: async () => missing,
    },
    { trustDomain, policy, refreshHintSeconds: 300 },
  )

/** All steps that are due now. */
async function rotate(authorities: Authorities): Promise<string[]> {
  const steps: string[] = []
  for (;;) {
    const { step } = await authorities.rotate()
    if (!step) return steps
    steps.push(step.do === 'activate' && step.forced ? 'force' : step.do)
  }
}

const states = (authorities: Authorities) => authorities.slots.map(({ state }) => state)

async function started(): Promise<Authorities> {
  const authorities = await load()
  expect(await rotate(authorities)).toEqual(['prepare', 'activate'])
  return authorities
}

/** The same, with the next authority prepared. */
async function prepared(): Promise<Authorities> {
  const authorities = await started()
  await clock.advance(7 * DAY)
  expect(await rotate(authorities)).toEqual(['prepare'])
  return authorities
}

test('the first authority signs at once; an expired one never does', async () => {
  const authorities = await started()
  const { keyId, notAfter, chain } = authorities.signing(clock.now())
  expect(chain).toEqual([])
  expect(authorities.signing(new Date(notAfter.getTime() - 1)).keyId).toBe(keyId)
  expect(() => authorities.signing(notAfter)).toThrow(expect.objectContaining({ code: 'authority_unavailable' }))
})

test('nothing signs before there is an authority', async () => {
  const authorities = await load()
  expect(() => authorities.signing(clock.now())).toThrow(expect.objectContaining({ code: 'authority_unavailable' }))
})

describe('the next authority', () => {
  test('is prepared at half of life: in the bundle, signing nothing', async () => {
    const authorities = await started()
    const before = authorities.bundle
    await clock.advance(7 * DAY - 2 * 60_000)
    expect(await rotate(authorities)).toEqual([])
    await clock.advance(2 * 60_000)
    const signer = authorities.signing(clock.now()).keyId
    expect(await rotate(authorities)).toEqual(['prepare'])
    expect(authorities.bundle.authorities).toHaveLength(2)
    expect(authorities.bundle.sequence).toBeGreaterThan(before.sequence)
    expect(authorities.signing(clock.now()).keyId).toBe(signer)
  })

  test('waits for the least delay even where everybody has acknowledged', async () => {
    const authorities = await prepared()
    await clock.advance(HOUR - 1)
    expect(await rotate(authorities)).toEqual([])
    await clock.advance(1)
    expect(await rotate(authorities)).toEqual(['activate'])
    expect(states(authorities)).toEqual(['old', 'active'])
  })

  test('waits for every node that holds anything', async () => {
    const authorities = await prepared()
    missing = ['node-a']
    await clock.advance(2 * DAY)
    expect(await authorities.rotate()).toEqual({ step: undefined, waitingFor: ['node-a'] })
    missing = []
    expect(await rotate(authorities)).toEqual(['activate'])
  })

  test('signs at the deadline whoever is missing, and that is told', async () => {
    const authorities = await prepared()
    missing = ['node-a']
    await clock.advance(6 * DAY - 60_000)
    expect(await rotate(authorities)).toEqual([])
    await clock.advance(60_000)
    expect(await rotate(authorities)).toEqual(['force'])
  })

  test('leaves the one before it trusted until its last leaf has expired', async () => {
    const authorities = await prepared()
    await clock.advance(HOUR)
    await rotate(authorities)
    await clock.advance(DAY)
    expect(await rotate(authorities)).toEqual([])
    expect(authorities.bundle.authorities).toHaveLength(2)
    await clock.advance(HOUR + 1)
    expect(await rotate(authorities)).toEqual(['retire'])
    expect(authorities.bundle.authorities).toHaveLength(1)
    expect(states(authorities)).toEqual(['active'])
  })
})

test('through ten lifetimes there is always one that signs, and the bundle holds it before it does', async () => {
  const authorities = await started()
  let sequence = authorities.bundle.sequence
  const signers = new Set<string>()
  for (let hour = 0; hour < (10 * 14 * DAY) / HOUR; hour += 1) {
    await clock.advance(HOUR)
    const trusted = authorities.bundle.authorities.map((certificate) =>
      certificate.subjectKeyIdentifier?.toString('hex'),
    )
    await rotate(authorities)
    const { keyId, notAfter } = authorities.signing(clock.now())
    signers.add(keyId)
    expect(trusted).toContain(keyId)
    expect(notAfter.getTime() - clock.now().getTime()).toBeGreaterThan(DAY)
    expect(authorities.bundle.sequence).toBeGreaterThanOrEqual(sequence)
    expect(authorities.slots.length).toBeLessThanOrEqual(3)
    sequence = authorities.bundle.sequence
  }
  expect(signers.size).toBeGreaterThanOrEqual(19)
})

describe('a restart', () => {
  test('goes on where it was, at every state', async () => {
    const authorities = await prepared()
    const again = await load()
    expect(again.slots.map(({ keyId, state }) => [keyId, state])).toEqual(
      authorities.slots.map(({ keyId, state }) => [keyId, state]),
    )
    expect(again.bundle.sequence).toBe(authorities.bundle.sequence)
    expect(again.signing(clock.now()).keyId).toBe(authorities.signing(clock.now()).keyId)
    await clock.advance(HOUR)
    expect(await rotate(again)).toEqual(['activate'])
  })

  test('after all authorities have expired makes a new one at once', async () => {
    await prepared()
    await clock.advance(60 * DAY)
    const again = await load()
    expect(await rotate(again)).toEqual(['retire', 'retire', 'prepare', 'activate'])
    expect(again.signing(clock.now()).notAfter.getTime()).toBe(clock.now().getTime() + 14 * DAY)
  })

  test('with an empty ledger still has a later bundle sequence than before', async () => {
    const { bundle } = await started()
    ledger = new MemoryLedger()
    await clock.advance(60_000)
    expect((await started()).bundle.sequence).toBeGreaterThan(bundle.sequence)
  })

  test.for([
    { name: 'another wrapping key', change: (text: string) => text, key: 2, code: 'key_store_locked' },
    { name: 'no JWE', change: () => '{', key: 1, code: 'store_corrupt' },
    { name: 'a document in plain text', change: () => '{"authorities":[]}', key: 1, code: 'store_corrupt' },
    {
      name: 'a document of which one character was changed',
      change: (text: string) => text.replace(/.(?=.{100}$)/, (char) => (char === 'A' ? 'B' : 'A')),
      key: 1,
      code: 'store_corrupt',
    },
  ])('refuses $name', async ({ change, key, code }) => {
    await started()
    ledger.stored = change(ledger.stored ?? '')
    await expect(load(new KeyWrap(Buffer.alloc(32, key)))).rejects.toMatchObject({ code })
  })

  const foreign = async () => {
    const source = selfSignedSource({ trustDomain, keyType: 'ec-p256', clock, random: systemRandom })
    const { certificate } = await source.make({
      notBefore: clock.now(),
      notAfter: new Date(clock.now().getTime() + DAY),
    })
    return certificate.der.toString('base64')
  }
  const newKey = () =>
    generateKeyPairSync('ec', { namedCurve: 'P-256' })
      .privateKey.export({ format: 'der', type: 'pkcs8' })
      .toString('base64')
  type Stored = Record<string, unknown>
  test.for<{ name: string; change: (slot: Stored) => Promise<Stored[]> | Stored[]; says: string }>([
    {
      name: 'an anchor that is not that of its authority',
      change: async (slot) => [{ ...slot, anchor: await foreign() }],
      says: 'an anchor does not belong to its authority',
    },
    {
      name: 'a chain that does not begin with its authority',
      change: async (slot) => [{ ...slot, chain: [await foreign()] }],
      says: 'a chain does not begin with its authority',
    },
    {
      name: 'a chain that does not lead to its anchor',
      change: async (slot) => [{ ...slot, chain: [slot['certificate']], anchor: await foreign() }],
      says: 'does not lead to',
    },
    {
      name: 'an authority that is there twice',
      change: (slot) => [slot, { ...slot, state: 'prepared' }],
      says: 'an authority is there twice',
    },
    { name: 'two that are active', change: (slot) => [slot, slot], says: 'more than one authority is active' },
    {
      name: 'an authority with the name of another',
      change: (slot) => [{ ...slot, keyId: 'aa' }],
      says: 'the name of another',
    },
    {
      name: 'a key that is not that of its certificate',
      change: (slot) => [{ ...slot, privateKey: newKey() }],
      says: 'a key is not that of its certificate',
    },
    {
      name: 'an old one that is trusted for ever',
      change: (slot) => [{ ...slot, state: 'old' }],
      says: 'an end of trust',
    },
  ])('refuses $name, whoever sealed it', async ({ change, says }) => {
    await started()
    const keyWrap = new KeyWrap(Buffer.alloc(32, 1))
    const document = JSON.parse(await keyWrap.unseal(ledger.stored ?? '')) as { authorities: [Stored] }
    ledger.stored = await keyWrap.seal(
      JSON.stringify({ ...document, authorities: await change(document.authorities[0]) }),
    )
    await expect(load(keyWrap)).rejects.toMatchObject({
      code: 'store_corrupt',
      message: expect.stringContaining(says),
    })
  })
})

test('a step that the store does not take has not happened', async () => {
  const authorities = await started()
  await clock.advance(8 * DAY)
  const before = authorities.bundle
  ledger.failure = new IdentityError('store_unavailable', 'full')
  await expect(authorities.rotate()).rejects.toMatchObject({ code: 'store_unavailable' })
  expect(authorities.bundle).toBe(before)
  ledger.failure = undefined
  expect(await rotate(authorities)).toEqual(['prepare'])
})

test('invariant 6: the authorities are in the store as one JWE', async () => {
  const authorities = await started()
  const [slot] = authorities.slots
  const pkcs8 = slot?.privateKey.export({ format: 'der', type: 'pkcs8' }) ?? Buffer.alloc(1)
  const raw = slot?.privateKey.export({ format: 'jwk' }).d ?? 'x'
  expect(ledger.stored).not.toContain(pkcs8.toString('base64'))
  expect(ledger.stored).not.toContain(raw)
  expect(ledger.stored?.split('.')).toHaveLength(5)
})

test('a clock that jumps back before the active authority began is served by what is valid, and recovers', async () => {
  const authorities = await prepared()
  await clock.advance(HOUR)
  await rotate(authorities)
  clock.jump(-2 * HOUR)
  expect(authorities.signing(clock.now()).keyId).toBe(authorities.slots[0]?.keyId)
})
