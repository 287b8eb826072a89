import { expect, test } from 'vitest'
import { renewalTimeMs, urgencyAt } from './renewal-time.ts'

const hour = { receivedAtMs: 1_000, expiresAtMs: 1_000 + 3_600_000 }

test.for([
  { name: 'at half of what was left', lifetime: hour, fraction: 0, at: 1_000 + 1_800_000 },
  { name: 'early by up to a tenth', lifetime: hour, fraction: 1, at: 1_000 + 1_440_000 },
  { name: 'of ten seconds', lifetime: { receivedAtMs: 0, expiresAtMs: 10_000 }, fraction: 0.5, at: 4_500 },
  { name: 'at once of what has ended', lifetime: { receivedAtMs: 50, expiresAtMs: 20 }, fraction: 0.5, at: 50 },
])('a renewal is due $name', ({ lifetime, fraction, at }) =>
  expect(renewalTimeMs(lifetime, fraction)).toBeCloseTo(at, 3),
)

test.for([
  { atMs: 1_000 + 1_800_000, urgency: 'routine' },
  { atMs: 1_000 + 2_700_000, urgency: 'routine' },
  { atMs: 1_001 + 2_700_000, urgency: 'nearExpiry' },
  { atMs: 1_000 + 9_000_000, urgency: 'nearExpiry' },
])('at $atMs of an hour it is $urgency', ({ atMs, urgency }) => expect(urgencyAt(hour, atMs)).toBe(urgency))
