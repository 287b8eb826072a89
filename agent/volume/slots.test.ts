import { expect, test } from 'vitest'
import { Slots } from './slots.ts'

test('no more run at a time than there are slots, in order, and one that fails gives its slot back', async () => {
  const slots = new Slots(2)
  let running = 0
  let most = 0
  const started: number[] = []
  const task = (number: number) =>
    slots.run(async () => {
      started.push(number)
      most = Math.max(most, (running += 1))
      await new Promise((resume) => setImmediate(resume))
      running -= 1
      if (number % 2 === 0) throw new Error(`${number}`)
      return number
    })
  const results = await Promise.allSettled([1, 2, 3, 4, 5, 6].map(task))
  expect(started).toEqual([1, 2, 3, 4, 5, 6])
  expect(most).toBe(2)
  expect(results.map(({ status }) => status === 'fulfilled')).toEqual([true, false, true, false, true, false])
})
