import { expect, test } from 'vitest'
import { backoffMs } from './backoff.ts'

const bounds = { firstMs: 100, maxMs: 5000 }
const randomOf = (value: number) => ({ bytes: (count: number) => new Uint8Array(count), fraction: () => value })

test.for([
  { name: 'the first failure', failures: 1, fraction: 0, expected: 100 },
  { name: 'the third, doubled twice', failures: 3, fraction: 0, expected: 400 },
  { name: 'jitter takes off up to half', failures: 3, fraction: 1, expected: 200 },
  { name: 'the cap', failures: 1000, fraction: 0, expected: 5000 },
])('$name', ({ failures, fraction, expected }) => {
  expect(backoffMs(failures, bounds, randomOf(fraction))).toBe(expected)
})

test('a time that the other side asked for is never undercut', () => {
  for (const fraction of [0, 0.5, 0.99]) {
    expect(backoffMs(1, bounds, randomOf(fraction), 3000)).toBeGreaterThanOrEqual(3000)
  }
})
