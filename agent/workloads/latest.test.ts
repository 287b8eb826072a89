import { expect, test } from 'vitest'
import { IdentityError } from '../../core/runtime/errors.ts'
import { Latest } from './latest.ts'

const forever = new AbortController().signal

test('a follower has the newest value at once, and skips what it missed', async () => {
  const latest = new Latest<number>()
  latest.set(1)
  latest.set(2)
  const follower = latest.follow(forever)
  expect((await follower.next()).value).toBe(2)
  latest.set(3)
  latest.set(4)
  expect((await follower.next()).value).toBe(4)
})

test('a follower that came before the first value waits for it', async () => {
  const latest = new Latest<number>()
  const next = latest.follow(forever).next()
  latest.set(1)
  expect((await next).value).toBe(1)
})

test('an end reaches who follows and who comes later, until there is a value again', async () => {
  const latest = new Latest<number>()
  latest.set(1)
  const follower = latest.follow(forever)
  await follower.next()
  const next = follower.next()
  latest.stop(new IdentityError('identity_expired', 'over'))
  await expect(next).rejects.toMatchObject({ code: 'identity_expired' })
  await expect(latest.follow(forever).next()).rejects.toMatchObject({ code: 'identity_expired' })
  expect(latest.value).toBeUndefined()
  latest.set(2)
  expect((await latest.follow(forever).next()).value).toBe(2)
})

test('a follower whose signal is aborted leaves', async () => {
  const latest = new Latest<number>()
  const leaving = new AbortController()
  const next = latest.follow(leaving.signal).next()
  expect(latest.followers).toBe(1)
  leaving.abort()
  expect(await next).toEqual({ done: true, value: undefined })
  expect(latest.followers).toBe(0)
})

test('settled waits for every follower to pass the value on, or to leave', async () => {
  const latest = new Latest<number>()
  latest.set(1)
  const one = latest.follow(forever)
  const leaving = new AbortController()
  const other = latest.follow(leaving.signal)
  await Promise.all([one.next(), other.next()])
  let isSettled = false
  const settled = latest.settled(forever).then(() => (isSettled = true))
  void one.next()
  await new Promise((resume) => setImmediate(resume))
  expect(isSettled).toBe(false)
  await other.return()
  await settled
  expect(isSettled).toBe(true)
})

test('an end interrupts who is still passing a value on, and nobody else', async () => {
  const latest = new Latest<number>()
  latest.set(1)
  const interrupted: string[] = []
  const stuck = latest.follow(forever, (reason) => interrupted.push(`stuck: ${reason.message}`))
  const waiting = latest.follow(forever, (reason) => interrupted.push(`waiting: ${reason.message}`))
  await Promise.all([stuck.next(), waiting.next()])
  const next = waiting.next()
  latest.stop(new IdentityError('identity_expired', 'over'))
  await expect(next).rejects.toMatchObject({ code: 'identity_expired' })
  expect(interrupted).toEqual(['stuck: over'])
})
