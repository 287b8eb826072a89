import type { DatabaseSync } from 'node:sqlite'
import { serialTime } from '../../core/pki/serial-number.ts'
import type { AuditFilter, AuditRecordRow, PageBounds, PageOf } from './ledger-queries.ts'
import type { QueryBudget } from './query-budget.ts'

/** Records that are looked at between two looks at the clock: a few milliseconds. */
const STEP_ROWS = 2_000
/** Of one page: records that list serial numbers are long. */
const MAX_CHARACTERS = 1024 * 1024
/** How far the wall clock may have gone back between two records, for a search by time to be right all the same. */
const CLOCK_SLACK_MS = 10 * 60_000
/** How long after its serial number an intent is in the chain at the latest. */
const INTENT_WITHIN_MS = 60_000

/**
 * A page of audit records, newest first, by number: the table is walked backwards a step at a time. SQLite sorts out what
 * cannot match by its text, and what is left is compared fact by fact: a value that quotes another fact is not it.
 */
export function auditRecords(
  database: DatabaseSync,
  filter: AuditFilter,
  { after, size }: PageBounds,
  budget: QueryBudget,
): PageOf<AuditRecordRow> {
  const needles = needlesOf(filter)
  const where = needles.map((any) => ` AND (${any.map(() => 'instr(record, ?) > 0').join(' OR ')})`).join('')
  const select = database.prepare(
    `SELECT seq, record, hash FROM audit WHERE seq < ? AND seq >= ?${where} ORDER BY seq DESC`,
  )
  const [first, last] = range(database)
  const from = filter.since ? seqAt(database, filter.since.getTime() - CLOCK_SLACK_MS, [first, last]) : first
  const newest = filter.until ? seqAt(database, filter.until.getTime() + CLOCK_SLACK_MS, [first, last]) : last + 1
  let before = Math.min(after === undefined ? newest : Number(after), newest)
  const rows: AuditRecordRow[] = []
  let characters = 0
  while (before > from) {
    const low = Math.max(from, before - STEP_ROWS)
    for (const row of select.iterate(before, low, ...needles.flat()) as Iterable<unknown> as Iterable<AuditRecordRow>) {
      if (!matches(row.record, filter)) continue
      rows.push({ seq: row.seq, record: row.record, hash: row.hash })
      characters += row.record.length
      if (rows.length >= size || characters > MAX_CHARACTERS) {
        return { rows, next: row.seq > from ? String(row.seq) : undefined, searchedTo: timeOf(database, row.seq) }
      }
    }
    before = low
    if (budget.isSpent && before > from) return { rows, next: String(before), searchedTo: timeOf(database, before) }
  }
  return { rows, next: undefined, searchedTo: timeOf(database, from) }
}

/** The record of the issuance of `serialNumber`: looked for where its time says that it is. */
export function issuance(
  database: DatabaseSync,
  serialNumber: string,
  budget: QueryBudget,
): AuditRecordRow | undefined {
  const madeAt = serialTime(serialNumber)
  if (!madeAt) return undefined
  const [first, last] = range(database)
  const until = seqAt(database, madeAt.getTime() + INTENT_WITHIN_MS, [first, last])
  const select = database.prepare(
    'SELECT seq, record, hash FROM audit WHERE seq >= ? AND seq < ? AND instr(record, ?) > 0 ORDER BY seq',
  )
  const facts = { event: 'issuance_intended', serialNumber }
  for (let from = seqAt(database, madeAt.getTime() - 1_000, [first, last]); from < until; from += STEP_ROWS) {
    const rows = select.all(from, Math.min(from + STEP_ROWS, until), needle('serialNumber', serialNumber))
    const found = (rows as unknown as AuditRecordRow[]).find(({ record }) => matches(record, { facts }))
    if (found) return { ...found }
    if (budget.isSpent) return undefined
  }
  return undefined
}

function range(database: DatabaseSync): readonly [first: number, last: number] {
  // Each by itself is a look at the end of the tree; both in one SELECT would be a walk through all of it.
  const row = database
    .prepare('SELECT (SELECT min(seq) FROM audit) AS first, (SELECT max(seq) FROM audit) AS last')
    .get()
  return [Number(row?.['first'] ?? 1), Number(row?.['last'] ?? 0)]
}

/** The first record at or after `time`, by halves: records are in the order of their times but for jumps of the clock. */
function seqAt(database: DatabaseSync, time: number, [first, last]: readonly [number, number]): number {
  let [low, high] = [first, last + 1]
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if ((timeOf(database, middle)?.getTime() ?? 0) < time) low = middle + 1
    else high = middle
  }
  return low
}

function timeOf(database: DatabaseSync, seq: number): Date | undefined {
  const record = database.prepare('SELECT record FROM audit WHERE seq = ?').get(seq)?.['record']
  if (typeof record !== 'string') return undefined
  const at = Date.parse(String((JSON.parse(record) as { at?: unknown }).at))
  return Number.isNaN(at) ? undefined : new Date(at)
}

/** Texts of which a record that matches holds one of each list. */
function needlesOf({ events, facts }: AuditFilter): string[][] {
  const { serialNumber, ...others } = facts
  return [
    ...(events && events.length > 0 ? [events.map((event) => needle('event', event))] : []),
    ...(serialNumber === undefined ? [] : [[JSON.stringify(serialNumber)]]),
    ...Object.entries(others).map(([name, value]) => [needle(name, value)]),
  ]
}

function needle(name: string, value: string): string {
  return `${JSON.stringify(name)}:${JSON.stringify(value)}`
}

function matches(text: string, { events, facts, since, until }: AuditFilter): boolean {
  const record = JSON.parse(text) as Record<string, unknown>
  if (events && events.length > 0 && !events.includes(String(record['event']))) return false
  const at = Date.parse(String(record['at']))
  if ((since && at < since.getTime()) || (until && at >= until.getTime())) return false
  return Object.entries(facts).every(([name, value]) => {
    if (record[name] === value) return true
    const list = name === 'serialNumber' ? record['serialNumbers'] : undefined
    return Array.isArray(list) && list.includes(value)
  })
}
