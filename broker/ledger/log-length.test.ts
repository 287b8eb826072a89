import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, expect, test } from 'vitest'
import { systemClock } from '../../core/runtime/system-clock.ts'
import { KEPT_BYTES, logLength, LogPause } from './log-length.ts'
import { SqliteLedger } from './sqlite-ledger.ts'
import { SqliteQueries } from './sqlite-queries.ts'

const MIB = 1024 * 1024
const auditKey = { id: 'one', key: new Uint8Array(32) }
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

/** A log that is as long as `lengthAt` says, by the milliseconds that somebody has waited. */
function pauseOf(lengthAt: (waitedMs: number) => number) {
  let waitedMs = 0
  const pause = new LogPause({
    clock: { monotonicMs: () => waitedMs },
    length: () => lengthAt(waitedMs),
    block: (milliseconds) => (waitedMs += milliseconds),
  })
  /** How long the next question waits. */
  return () => {
    const before = waitedMs
    pause.take()
    return waitedMs - before
  }
}

test('a log of the usual length is not waited for', () => {
  expect(pauseOf(() => 24 * MIB)()).toBe(0)
})

test('a long log is waited for until it has begun anew', () => {
  const next = pauseOf((waitedMs) => (waitedMs < 50 ? 30 * MIB : 20 * MIB))
  expect(next()).toBe(50)
  expect(next()).toBe(0)
})

test('a log that does not begin anew is waited for once, and again when it has grown', () => {
  let length = 30 * MIB
  const next = pauseOf(() => length)
  expect(next()).toBe(1000)
  expect(next()).toBe(0)
  length += 4096
  expect(next()).toBe(1000)
})

test('questions pause while the log is long, and it is cut when it begins anew', async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'log-')), 'ledger.sqlite')
  const ledger = await SqliteLedger.open({ file, auditKey, clock: systemClock })
  const queries = new SqliteQueries(file, systemClock, auditKey)
  cleanups.push(
    () => ledger.close(),
    () => queries.close(),
  )
  const reader = new DatabaseSync(file, { readOnly: true })
  reader.exec('BEGIN; SELECT * FROM audit')
  for (let save = 0; save < 26; save += 1) await ledger.save(String(save).padEnd(MIB, String(save)))
  expect(logLength(file)).toBeGreaterThan(24 * MIB)

  const askedAtMs = systemClock.monotonicMs()
  expect(await queries.identity('00')).toBeUndefined()
  expect(systemClock.monotonicMs() - askedAtMs).toBeGreaterThanOrEqual(990)

  reader.close()
  for (let save = 0; save < 3; save += 1) await ledger.save(String(save))
  expect(logLength(file)).toBeLessThanOrEqual(KEPT_BYTES)
})
