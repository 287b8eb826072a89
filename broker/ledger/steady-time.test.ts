import { beforeEach, expect, test } from 'vitest'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { SteadyTime } from './steady-time.ts'

const MINUTE = 60_000
const YEARS = 3 * 365 * 24 * 60 * MINUTE
let clock: FakeClock
let time: SteadyTime

beforeEach(() => {
  clock = new FakeClock()
  time = new SteadyTime(clock)
})

async function minutes(count: number): Promise<boolean[]> {
  const steady: boolean[] = []
  for (let minute = 0; minute < count; minute += 1) {
    await clock.advance(MINUTE)
    steady.push(time.isSteady())
  }
  return steady
}

test('it is steady from the start, and while the clock is set by no more than minutes', async () => {
  expect(time.isSteady()).toBe(true)
  clock.jump(4 * MINUTE)
  expect(time.isSteady()).toBe(true)
  expect(await minutes(120)).not.toContain(false)
})

test.for([YEARS, -YEARS])('a jump is believed after an hour: %d ms', async (jump) => {
  clock.jump(jump)
  expect(time.isSteady()).toBe(false)
  const steady = await minutes(60)
  expect(steady.slice(0, 59)).not.toContain(true)
  expect(steady.at(-1)).toBe(true)
})

test('a clock that is set right again within the hour is believed an hour after that', async () => {
  clock.jump(YEARS)
  expect(await minutes(30)).not.toContain(true)
  clock.jump(-YEARS)
  const steady = await minutes(61)
  expect(steady.slice(0, 59)).not.toContain(true)
  expect(steady.at(-1)).toBe(true)
})
