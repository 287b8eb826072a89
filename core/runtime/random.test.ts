import { expect, test } from 'vitest'
import { systemRandom } from './random.ts'

test('bytes never repeat, also across what is drawn ahead', () => {
  const seen = new Set<string>()
  for (let index = 0; index < 5000; index += 1) seen.add(Buffer.from(systemRandom.bytes(10)).toString('hex'))
  expect(seen.size).toBe(5000)
})

test.for([0, 1, 16, 1024, 1025, 100_000])('%d bytes are as many as asked for', (count) => {
  expect(systemRandom.bytes(count)).toHaveLength(count)
})

test('a fraction is from 0 to below 1', () => {
  const fractions = Array.from({ length: 1000 }, () => systemRandom.fraction())
  expect(Math.min(...fractions)).toBeGreaterThanOrEqual(0)
  expect(Math.max(...fractions)).toBeLessThan(1)
  expect(new Set(fractions).size).toBeGreaterThan(990)
})
