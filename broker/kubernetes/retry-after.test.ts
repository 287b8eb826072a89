import { expect, test } from 'vitest'
import { retryAfterMs } from './retry-after.ts'

test.for([
  { header: undefined, expected: undefined },
  { header: '7', expected: 7000 },
  { header: 'Thu, 01 Jan 2026 00:00:05 GMT', expected: 5000 },
  { header: 'Wed, 31 Dec 2025 23:59:00 GMT', expected: 0 },
  { header: 'soon', expected: undefined },
  { header: '-1', expected: 0 },
  { header: '99999999999', expected: undefined },
])('$header is $expected ms', ({ header, expected }) => {
  expect(retryAfterMs(header, new Date('2026-01-01T00:00:00Z'))).toBe(expected)
})
