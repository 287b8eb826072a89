import { expect, test } from 'vitest'
import { createLog } from '../core/runtime/log.ts'
import { FakeClock } from '../test/fakes/fake-clock.ts'
import { keepPruning } from './ledger-start.ts'

const DAY = 86_400_000

test('a clock that jumps ahead makes nothing old that is not', async () => {
  const clock = new FakeClock('2026-01-01T00:00:00Z')
  const stop = new AbortController()
  const pruned: string[] = []
  const ledger = { prune: async (before: Date) => (pruned.push(before.toISOString().slice(0, 10)), 0) }
  const pruning = keepPruning(ledger, 90 * DAY, { clock, log: createLog('broker', 'silent'), signal: stop.signal })
  await clock.advance(60_000)
  clock.jump(365 * DAY)
  await clock.advance(30 * 60_000)
  clock.jump(-365 * DAY)
  await clock.advance(2 * 3_600_000)
  stop.abort()
  await pruning
  expect(pruned.length).toBeGreaterThan(50)
  expect(new Set(pruned)).toEqual(new Set(['2025-10-03']))
})
