import { expect, test } from 'vitest'
import { systemClock } from './system-clock.ts'

test('sleep gives up with the reason of its signal', async () => {
  const reason = new Error('enough')
  await expect(systemClock.sleep(60_000, AbortSignal.abort(reason))).rejects.toBe(reason)
  const controller = new AbortController()
  const sleeping = systemClock.sleep(2 ** 40, controller.signal)
  controller.abort(reason)
  await expect(sleeping).rejects.toBe(reason)
})

test('the monotonic clock does not go back', async () => {
  const before = systemClock.monotonicMs()
  await systemClock.sleep(2)
  expect(systemClock.monotonicMs()).toBeGreaterThan(before)
})
