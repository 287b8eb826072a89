import { expect, test } from 'vitest'
import { leftMs } from './lifetime.ts'

const HOUR = 3_600_000
const now = new Date('2026-01-01T00:00:00Z')
const inAnHour = new Date(now.getTime() + HOUR)

test.for([
  { name: 'what the broker counts, which is nearer', lifetimeMs: HOUR - 30_000, left: HOUR - 30_000 },
  { name: 'the certificate, where the broker says nothing', lifetimeMs: undefined, left: HOUR },
  { name: 'no life at all, which would be renewed without end', lifetimeMs: 0, left: HOUR - 60_000 },
  { name: 'less than nothing', lifetimeMs: -HOUR, left: HOUR - 60_000 },
  { name: 'more than the certificate has, which would never be renewed', lifetimeMs: 1e15, left: HOUR + 60_000 },
])('a life is bounded by the certificate: $name', ({ lifetimeMs, left }) => {
  expect(leftMs(lifetimeMs, inAnHour, now)).toBe(left)
})
