import { expect, test } from 'vitest'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { Deadlines } from './deadlines.ts'

test('each ends at its time, unless it is called off', async () => {
  const clock = new FakeClock()
  const deadlines = new Deadlines(clock, 5000)
  const ended: string[] = []
  deadlines.start(() => ended.push('first'))
  const callOff = deadlines.start(() => ended.push('called off'))
  await clock.advance(3000)
  deadlines.start(() => ended.push('second'))
  callOff()
  await clock.advance(1999)
  expect(ended).toEqual([])
  await clock.advance(1)
  expect(ended).toEqual(['first'])
  await clock.advance(3000)
  expect(ended).toEqual(['first', 'second'])
})

test('begins again after it had nothing to wait for', async () => {
  const clock = new FakeClock()
  const deadlines = new Deadlines(clock, 5000)
  deadlines.start(() => {})()
  await clock.advance(60_000)
  let ended = false
  deadlines.start(() => (ended = true))
  await clock.advance(5000)
  expect(ended).toBe(true)
})
