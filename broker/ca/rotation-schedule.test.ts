import { expect, test } from 'vitest'
import { systemRandom } from '../../core/runtime/random.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { MemoryLedger } from '../../test/fakes/memory-ledger.ts'
import { Authorities } from './authorities.ts'
import { KeyWrap } from './key-wrap.ts'
import { rotationSchedule } from './rotation-schedule.ts'
import { selfSignedSource } from './self-signed-source.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const policy = { lifetimeMs: 14 * DAY, leastDelayMs: HOUR, deadlineMs: DAY, longestLeafMs: DAY }
const trustDomain = TrustDomain.parse('prod.example')

test('says what then happens: prepared at the half, activated once the gate is open, or at the deadline', async () => {
  const clock = new FakeClock('2026-01-01T00:00:00Z')
  let missing: string[] = ['node-a']
  const authorities = await Authorities.load(
    {
      store: new MemoryLedger(),
      source: selfSignedSource({ trustDomain, keyType: 'ec-p256', clock, random: systemRandom }),
      keyWrap: new KeyWrap(Buffer.alloc(32, 1)),
      clock,
      unacknowledged: async () => missing,
    },
    { trustDomain, policy, refreshHintSeconds: 300 },
  )
  expect(rotationSchedule(authorities.slots, policy)).toEqual({ preparation: undefined, activation: undefined })
  while ((await authorities.rotate()).step);
  const { preparation, activation } = rotationSchedule(authorities.slots, policy)
  expect([preparation, activation]).toEqual([new Date('2026-01-08T00:00:00Z'), undefined])

  await clock.advance(7 * DAY - 1)
  expect((await authorities.rotate()).step).toBeUndefined()
  await clock.advance(1)
  expect((await authorities.rotate()).step).toEqual({ do: 'prepare' })
  const waiting = rotationSchedule(authorities.slots, policy)
  expect(waiting).toEqual({
    preparation: undefined,
    activation: {
      keyId: authorities.slots.at(-1)?.keyId,
      earliest: new Date('2026-01-08T01:00:00Z'),
      forcedAt: new Date('2026-01-14T00:00:00Z'),
      isGated: true,
    },
  })
  expect(await authorities.waitingFor()).toEqual(['node-a'])
  missing = []
  await clock.advance(HOUR - 1)
  expect((await authorities.rotate()).step).toBeUndefined()
  await clock.advance(1)
  expect((await authorities.rotate()).step).toMatchObject({ do: 'activate', forced: false })
})
