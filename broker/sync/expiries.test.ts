import { beforeEach, expect, test } from 'vitest'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { Expiries } from './expiries.ts'

let clock: FakeClock
let expired: string[]
let expiries: Expiries<string>

beforeEach(() => {
  clock = new FakeClock()
  expired = []
  const nowMs = () => clock.now().getTime()
  expiries = new Expiries<string>({ clock, nowMs, expire: (item) => expired.push(item) })
})

const at = (milliseconds: number) => clock.now().getTime() + milliseconds

test('each expires at its end and no more than once', async () => {
  expiries.add('early', at(400))
  expiries.add('late', at(5_000))
  await clock.advance(399)
  expect(expired).toEqual([])
  await clock.advance(1)
  expect(expired).toEqual(['early'])
  await clock.advance(10_000)
  expect(expired).toEqual(['early', 'late'])
})

test('an end that is nearer than the one waited for comes at most a second late', async () => {
  expiries.add('late', at(60_000))
  await clock.advance(100)
  expiries.add('early', at(10))
  await clock.advance(1_000)
  expect(expired).toEqual(['early'])
})

test('what has an end already when it comes, expires', async () => {
  expiries.add('gone', at(0))
  await clock.advance(1_000)
  expect(expired).toEqual(['gone'])
})

test('what is deleted does not expire, and what comes after nothing was left does', async () => {
  expiries.add('deleted', at(500))
  expiries.delete('deleted')
  await clock.advance(5_000)
  expiries.add('another', at(500))
  await clock.advance(500)
  expect(expired).toEqual(['another'])
})

test('a jump of the clock is noticed within a second', async () => {
  expiries.add('item', at(3_600_000))
  clock.jump(2 * 3_600_000)
  await clock.advance(1_000)
  expect(expired).toEqual(['item'])
})
