import { beforeEach, describe, expect, test } from 'vitest'
import { IdentityError } from '../../core/runtime/errors.ts'
import { systemRandom } from '../../core/runtime/random.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { MemoryLedger } from '../../test/fakes/memory-ledger.ts'
import { Authorities } from './authorities.ts'
import { KeyWrap } from './key-wrap.ts'
import { longestLifeMs, type RotationPolicy } from './rotation.ts'
import { selfSignedSource } from './self-signed-source.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const trustDomain = TrustDomain.parse('prod.example')
const keyWrap = new KeyWrap(Buffer.alloc(32, 1))

let clock: FakeClock
let ledger: MemoryLedger

beforeEach(() => {
  clock = new FakeClock('2026-01-01T00:00:00Z')
  ledger = new MemoryLedger()
})

const policyOf = (longestLeafMs: number): RotationPolicy => ({
  lifetimeMs: 14 * DAY,
  leastDelayMs: HOUR,
  deadlineMs: DAY,
  longestLeafMs,
})

/** A start of the broker with a configuration that allows leaves of this life. */
const start = async (longestLeafMs: number): Promise<Authorities> => {
  const authorities = await Authorities.load(
    {
      store: ledger,
      source: selfSignedSource({ trustDomain, keyType: 'ec-p256', clock, random: systemRandom }),
      keyWrap,
      clock,
      unacknowledged: async () => [],
    },
    {
      trustDomain,
      policy: policyOf(longestLeafMs),
      refreshHintSeconds: 300,
    },
  )
  await rotate(authorities)
  return authorities
}

async function rotate(authorities: Authorities): Promise<void> {
  while ((await authorities.rotate()).step);
}

/** The next authority is prepared. */
async function prepare(authorities: Authorities): Promise<void> {
  await clock.advance(7 * DAY)
  await rotate(authorities)
  expect(authorities.slots.map(({ state }) => state)).toEqual(['active', 'prepared'])
}

/** The prepared one signs; for how long the one before it is trusted from then on, in milliseconds. */
async function activate(authorities: Authorities): Promise<number> {
  await clock.advance(HOUR)
  await rotate(authorities)
  const [old] = authorities.slots
  expect(old?.state).toBe('old')
  return (old?.trustedUntil?.getTime() ?? NaN) - clock.now().getTime()
}

describe('an authority stays trusted until the last leaf that it may have signed has ended, where since it began', () => {
  test('shorter leaves are allowed', async () => {
    await prepare(await start(DAY))
    const authorities = await start(HOUR)
    expect(await activate(authorities)).toBe(DAY)
    await clock.advance(DAY)
    await rotate(authorities)
    expect(authorities.bundle.authorities).toHaveLength(2)
  })

  test('longer ones were allowed for a while', async () => {
    await start(HOUR)
    await start(2 * DAY)
    const authorities = await start(DAY)
    await prepare(authorities)
    expect(await activate(authorities)).toBe(2 * DAY)
  })

  test('an older version wrote down nothing of what it allowed', async () => {
    await prepare(await start(DAY))
    type Stored = { authorities: Record<string, unknown>[] }
    const document = JSON.parse(await keyWrap.unseal(ledger.stored ?? '')) as Stored
    for (const slot of document.authorities) delete slot['longestLeafMs']
    ledger.stored = await keyWrap.seal(JSON.stringify(document))
    const authorities = await start(HOUR)
    expect(await activate(authorities)).toBe(7 * DAY - HOUR)
    // What signs from here on was only prepared by it, and had signed nothing.
    expect(authorities.active?.longestLeafMs).toBe(HOUR)
  })

  test('the clock has jumped back to before its beginning', async () => {
    const authorities = await start(DAY)
    await prepare(authorities)
    await activate(authorities)
    const second = authorities.active
    clock.jump(-2 * DAY)
    await rotate(authorities)
    const slot = authorities.slots.find(({ keyId }) => keyId === second?.keyId)
    expect(slot).toMatchObject({ state: 'old', trustedUntil: second?.certificate.notAfter })
  })
})

test('the next authority owes nothing to what the one before it was allowed', async () => {
  await prepare(await start(DAY))
  const authorities = await start(HOUR)
  await activate(authorities)
  await clock.advance(6 * DAY + 23 * HOUR)
  await rotate(authorities)
  expect(await activate(authorities)).toBe(HOUR)
})

test('a leaf that is valid is looked for as far back as any authority was allowed to sign it', async () => {
  await prepare(await start(2 * DAY))
  const authorities = await start(HOUR)
  const longest = () => longestLifeMs(authorities.slots, policyOf(HOUR))
  expect(longest()).toBe(2 * DAY)
  await activate(authorities)
  expect(longest()).toBe(2 * DAY)
  await clock.advance(2 * DAY + 2 * HOUR)
  await rotate(authorities)
  expect(longest()).toBe(HOUR)
  const [unknown] = authorities.slots
  if (!unknown) throw new Error('no authority is left')
  // Of what an older version let sign, nothing but the life of the authority is known.
  expect(longestLifeMs([{ ...unknown, longestLeafMs: undefined }], policyOf(HOUR))).toBeGreaterThanOrEqual(14 * DAY)
})

test('longer leaves are allowed only once that is in the store', async () => {
  await start(HOUR)
  ledger.failure = new IdentityError('store_unavailable', 'full')
  await expect(start(DAY)).rejects.toMatchObject({ code: 'store_unavailable' })
  // A start that allows no more than before writes nothing.
  await start(HOUR)
})

test('an old authority that a clock that jumped back lets sign again signs nothing beyond its end of trust', async () => {
  const authorities = await start(HOUR)
  await prepare(authorities)
  const signer = authorities.signing(clock.now())
  await activate(authorities)
  clock.jump(-90 * 60_000)
  const [old] = authorities.slots
  expect(authorities.signing(clock.now())).toMatchObject({ keyId: signer.keyId, notAfter: old?.trustedUntil })
})
