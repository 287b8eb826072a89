import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import { firstSerialAt, serialTime } from '../../core/pki/serial-number.ts'
import type { IdentityFilter, IdentityRow, PageBounds, PageOf, SvidState } from './ledger-queries.ts'
import type { IssuanceRow } from './ledger.ts'
import type { QueryBudget } from './query-budget.ts'

/** Rows that are looked at between two looks at the clock: about 2 ms. */
const STEP_ROWS = 4_000
/** Greater than every serial number. */
const AFTER_ALL = 'g'

type Condition = readonly [sql: string, ...values: SQLInputValue[]]

/**
 * A page of SVIDs, newest first. Serial numbers ascend with time (design §7), so the primary key is walked backwards, a
 * step at a time, and no index has to be kept for it while SVIDs are issued.
 */
export function identities(
  database: DatabaseSync,
  filter: IdentityFilter,
  { after, size }: PageBounds,
  budget: QueryBudget,
): PageOf<IdentityRow> {
  const conditions = conditionsOf(filter)
  const where = conditions.map(([sql]) => ` AND ${sql}`).join('')
  const values = conditions.flatMap(([, ...bound]) => bound)
  const step = database.prepare(
    `SELECT min(serial_number) AS low FROM (SELECT serial_number FROM issuance
     WHERE serial_number < ? AND serial_number >= ? ORDER BY serial_number DESC LIMIT ${STEP_ROWS})`,
  )
  const select = database.prepare(
    `SELECT * FROM issuance WHERE serial_number < ? AND serial_number >= ?${where}
     ORDER BY serial_number DESC LIMIT ?`,
  )
  const least = filter.issuedAfter === undefined ? '' : firstSerialAt(filter.issuedAfter)
  const rows: IdentityRow[] = []
  let before = after ?? AFTER_ALL
  for (;;) {
    const low = step.get(before, least)?.['low']
    if (typeof low !== 'string') return { rows, next: undefined, searchedTo: serialTime(before) }
    const wanted = size - rows.length
    rows.push(...select.all(before, low, ...values, wanted).map(rowOf))
    if (rows.length >= size) return { rows, next: rows.at(-1)?.serialNumber, searchedTo: serialTime(low) }
    before = low
    if (budget.isSpent) return { rows, next: before, searchedTo: serialTime(low) }
  }
}

export function identity(database: DatabaseSync, serialNumber: string): IdentityRow | undefined {
  const row = database.prepare('SELECT * FROM issuance WHERE serial_number = ?').get(serialNumber)
  return row && rowOf(row)
}

/** Node name → end of the newest SVID that it holds, as far as it has not expired at `at`: of all, or of one. */
export function holders(database: DatabaseSync, at: Date, nodeName: string | undefined): ReadonlyMap<string, Date> {
  const [where, values] = nodeName === undefined ? ['', []] : [' AND node_name = ?', [nodeName]]
  const rows = database
    .prepare(`SELECT node_name, not_after FROM holder WHERE not_after > ?${where}`)
    .all(at.getTime(), ...values)
  return new Map(rows.map((row) => [String(row['node_name']), new Date(Number(row['not_after']))]))
}

function conditionsOf(filter: IdentityFilter): Condition[] {
  const { namespace, spiffeId, spiffeIdPrefix, serviceAccount, nodeName, podUid, kind, state, at } = filter
  const equal = (column: string, value: string | undefined): Condition[] =>
    value === undefined ? [] : [[`${column} = ?`, value]]
  return [
    ...equal('namespace', namespace),
    ...equal('spiffe_id', spiffeId),
    ...equal('service_account', serviceAccount),
    ...equal('node_name', nodeName),
    ...equal('pod_uid', podUid),
    ...equal('kind', kind),
    ...(spiffeIdPrefix === undefined ? [] : [below(spiffeIdPrefix)]),
    ...(state === undefined ? [] : [inState(state, at.getTime())]),
  ]
}

/** By whole segments: what follows the prefix is a slash, whose successor is `0`. */
function below(prefix: string): Condition {
  return ['(spiffe_id = ? OR (spiffe_id > ? AND spiffe_id < ?))', prefix, `${prefix}/`, `${prefix}0`]
}

function inState(state: SvidState, at: number): Condition {
  switch (state) {
    case 'failed':
      return ["outcome = 'failed'"]
    case 'expired':
      return ["outcome <> 'failed' AND not_after <= ?", at]
    case 'ended':
      return ["outcome <> 'failed' AND not_after > ? AND ended_at IS NOT NULL", at]
    case 'valid':
      return ["outcome <> 'failed' AND not_after > ? AND ended_at IS NULL", at]
  }
}

/** Where an SVID is in its life; the one place that says so besides the query above. */
export function stateOf({ outcome, notAfter, endedAt }: IssuanceRow, at: Date): SvidState {
  if (outcome === 'failed') return 'failed'
  if (notAfter.getTime() <= at.getTime()) return 'expired'
  return endedAt === undefined ? 'valid' : 'ended'
}

function rowOf(row: Record<string, unknown>): IdentityRow {
  const text = (column: string) => String(row[column])
  return {
    serialNumber: text('serial_number'),
    kind: text('kind'),
    spiffeId: text('spiffe_id'),
    nodeName: text('node_name'),
    namespace: text('namespace'),
    serviceAccount: text('service_account'),
    podUid: text('pod_uid'),
    publicKeySha256: text('public_key_sha256'),
    authorityKeyId: text('authority_key_id'),
    notAfter: new Date(Number(row['not_after'])),
    outcome: text('outcome') as IssuanceRow['outcome'],
    endedAt: row['ended_at'] === null ? undefined : new Date(Number(row['ended_at'])),
  }
}
