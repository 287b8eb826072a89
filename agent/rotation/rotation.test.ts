import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { IdentityError } from '../../core/runtime/errors.ts'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import type { Urgency } from '../workloads/svid-issuing.ts'
import { Rotation } from './rotation.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

let clock: FakeClock
let rotation: Rotation
let renewed: { id: string; urgency: Urgency; atMs: number }[]
let expired: string[]
let codes: string[]
/** What the next renewals do; without a word they succeed for an hour. */
let answer: (id: string) => Promise<'renewed' | 'noToken'>
let start: number

const nowMs = () => clock.monotonicMs() - start
const hold = (id: string, forMs: number) =>
  rotation.held(id, { receivedAtMs: clock.monotonicMs(), expiresAtMs: clock.monotonicMs() + forMs })

async function succeed(id: string): Promise<'renewed'> {
  hold(id, HOUR)
  return 'renewed'
}

beforeEach(() => {
  clock = new FakeClock()
  start = clock.monotonicMs()
  renewed = []
  expired = []
  codes = []
  answer = succeed
  const target = {
    renew: (id: string, urgency: Urgency) => {
      renewed.push({ id, urgency, atMs: nowMs() })
      return answer(id)
    },
    expired: (id: string) => void expired.push(id),
  }
  const observer = {
    renewed: () => {},
    failed: (_: string, code: string) => void codes.push(code),
    expired: () => {},
    forgotten: () => {},
  }
  const random = { bytes: (count: number) => new Uint8Array(count), fraction: () => 0 }
  rotation = new Rotation({ target: () => target, observer, clock, random })
  rotation.start()
})

afterEach(() => rotation.stop())

const turn = () => new Promise((resume) => setImmediate(resume))

/** Lets time pass, with room for who was woken before it does. */
async function pass(milliseconds: number): Promise<void> {
  await turn()
  await clock.advance(milliseconds)
  await turn()
}

const unavailable = () => Promise.reject(new IdentityError('broker_unavailable', 'away'))

test('an SVID is renewed at half of its life, and again', async () => {
  hold('cart', HOUR)
  await pass(29 * MINUTE)
  expect(renewed).toEqual([])
  await pass(31 * MINUTE)
  expect(renewed).toMatchObject([{ id: 'cart', urgency: 'routine', atMs: 30 * MINUTE }, { atMs: 60 * MINUTE }])
})

test('a jump of the wall clock that is not beyond the time to renew changes nothing', async () => {
  hold('cart', HOUR)
  clock.jump(-24 * HOUR)
  await pass(29 * MINUTE)
  expect(renewed).toEqual([])
  await pass(MINUTE)
  expect(renewed).toHaveLength(1)
  clock.jump(10 * MINUTE)
  await pass(19 * MINUTE)
  expect(renewed).toHaveLength(1)
})

test('a machine that was suspended renews soon after it is awake, once; nothing is called expired by the wall clock', async () => {
  hold('cart', HOUR)
  await pass(MINUTE)
  clock.jump(24 * HOUR)
  await pass(30_000)
  expect(renewed).toHaveLength(1)
  await pass(29 * MINUTE)
  expect([renewed.length, expired.length]).toEqual([1, 0])
})

test('a renewal that fails after that keeps to its back-off', async () => {
  answer = unavailable
  hold('cart', 100 * HOUR)
  clock.jump(90 * HOUR)
  await pass(10 * MINUTE)
  // Half a second, doubled up to a minute.
  expect(renewed.length).toBeLessThan(20)
})

test('those that end first go first, at most 50 at a time', async () => {
  const pending: (() => void)[] = []
  answer = (id) => new Promise((resolve) => pending.push(() => resolve(succeed(id))))
  for (let index = 0; index < 120; index += 1) hold(`w${index}`, HOUR - index * 1000)
  await pass(HOUR / 2)
  expect(renewed).toHaveLength(50)
  rotation.hasten(Array.from({ length: 120 }, (_, index) => `w${index}`))
  for (const done of pending.splice(0)) done()
  await pass(1_000)
  expect(renewed).toHaveLength(100)
  expect(renewed.slice(0, 3).map(({ id }) => id)).toEqual(['w119', 'w118', 'w117'])
})

describe('when renewing fails', () => {
  test('it is tried again with a back-off that doubles, and never waits longer than a quarter of what is left', async () => {
    answer = unavailable
    hold('cart', HOUR)
    await pass(HOUR - 1)
    const waits = renewed.slice(1).map(({ atMs }, index) => atMs - (renewed[index]?.atMs ?? 0))
    expect(waits.slice(0, 4)).toEqual([500, 1000, 2000, 4000])
    expect(Math.max(...waits)).toBeLessThanOrEqual(MINUTE)
    expect(renewed.at(-1)?.urgency).toBe('nearExpiry')
    expect(renewed.at(-1)?.atMs).toBeGreaterThan(HOUR - 1_000)
    expect(new Set(codes)).toEqual(new Set(['broker_unavailable']))
  })

  test('its end is told once, and renewing goes on', async () => {
    answer = unavailable
    hold('cart', 10_000)
    await pass(20_000)
    expect(expired).toEqual(['cart'])
    expect(rotation.expiredCount()).toBe(1)
    const before = renewed.length
    await pass(100_000)
    expect(renewed.length - before, 'attempts in 100 s, once it has ended').toBe(10)
    answer = succeed
    await pass(MINUTE)
    expect(rotation.expiredCount()).toBe(0)
  })

  test('the broker is asked again soon after it is back, not when the back-off is over', async () => {
    answer = unavailable
    hold('cart', 10 * HOUR)
    await pass(5.5 * HOUR)
    const before = renewed.length
    answer = succeed
    rotation.brokerReturned()
    await pass(1)
    expect(renewed).toHaveLength(before + 1)
  })

  test('a retry time that the broker gives is kept', async () => {
    answer = () => Promise.reject(new IdentityError('overloaded', 'later', { retryAfterMs: 5 * MINUTE }))
    hold('cart', HOUR)
    await pass(HOUR / 2)
    await pass(4.9 * MINUTE)
    expect(renewed).toHaveLength(1)
    await pass(MINUTE)
    expect(renewed).toHaveLength(2)
  })

  test('a retry time that the broker gives is kept whatever hurries: a token of a republish, a broker that is back', async () => {
    answer = () => Promise.reject(new IdentityError('overloaded', 'later', { retryAfterMs: 5 * MINUTE }))
    hold('cart', 4 * HOUR)
    await pass(2 * HOUR)
    rotation.tokenCame('cart')
    rotation.brokerReturned()
    await pass(4.9 * MINUTE)
    expect(renewed).toHaveLength(1)
    answer = succeed
    rotation.tokenCame('cart')
    await pass(0.2 * MINUTE)
    expect(renewed).toHaveLength(2)
  })

  test('a fresh token is tried at once, if it was the token that was refused', async () => {
    answer = () => Promise.reject(new IdentityError('token_expired', 'old', { retryAfterMs: HOUR }))
    hold('cart', 4 * HOUR)
    await pass(2 * HOUR)
    answer = succeed
    rotation.tokenCame('cart')
    await pass(1)
    expect(renewed).toHaveLength(2)
  })
})

test('without a token nothing is asked until one comes', async () => {
  answer = () => Promise.resolve('noToken')
  hold('cart', HOUR)
  await pass(HOUR / 2)
  await pass(HOUR / 4)
  expect(renewed).toHaveLength(1)
  answer = succeed
  rotation.tokenCame('cart')
  await pass(1)
  expect(renewed).toHaveLength(2)
})

test('a token that comes early renews nothing: a republish is a fast no-op', async () => {
  hold('cart', HOUR)
  rotation.tokenCame('cart')
  await pass(MINUTE)
  expect(renewed).toEqual([])
})

test('an order renews at once, whatever the schedule says', async () => {
  hold('cart', HOUR)
  hold('payments', HOUR)
  rotation.hasten(['cart'])
  await pass(1)
  expect(renewed.map(({ id }) => id)).toEqual(['cart'])
})

test('renewals that succeed have a least interval: a life of nothing, or an order without end, are no reason for more', async () => {
  answer = async (id) => {
    hold(id, 0)
    rotation.hasten([id])
    return 'renewed'
  }
  hold('cart', 0)
  await pass(20_000)
  expect(renewed.length).toBeLessThanOrEqual(81)
  answer = async (id) => {
    await succeed(id)
    rotation.hasten([id])
    return 'renewed'
  }
  hold('payments', HOUR)
  rotation.hasten(['payments'])
  const before = renewed.length
  await pass(60_000)
  expect(renewed.slice(before).filter(({ id }) => id === 'payments').length).toBeLessThanOrEqual(7)
})

test('what is forgotten is not renewed', async () => {
  hold('cart', HOUR)
  rotation.forget('cart')
  await pass(HOUR)
  expect(renewed).toEqual([])
  expect(rotation.leastLeftMs()).toBe(Infinity)
})
