import type { DatabaseSync } from 'node:sqlite'
import type { IssuanceRow } from './ledger.ts'
import { verifyChain } from './sqlite-database.ts'

/** What can be asked, as it crosses to the worker. */
export type Query =
  | { readonly ask: 'find'; readonly serialNumber: string }
  | { readonly ask: 'holders'; readonly at: number }
  | { readonly ask: 'authorities' }
  | { readonly ask: 'verify' }

export interface Answers {
  readonly find: IssuanceRow | undefined
  readonly holders: ReadonlyMap<string, Date>
  readonly authorities: string | undefined
  readonly verify: number
}

export function answer(database: DatabaseSync, query: Query): Answers[Query['ask']] {
  switch (query.ask) {
    case 'find':
      return find(database, query.serialNumber)
    case 'holders':
      return holders(database, query.at)
    case 'authorities': {
      const row = database.prepare('SELECT document FROM authorities').get()
      return row && String(row['document'])
    }
    case 'verify':
      return verifyChain(database)
  }
}

function find(database: DatabaseSync, serialNumber: string): IssuanceRow | undefined {
  const row = database.prepare('SELECT * FROM issuance WHERE serial_number = ?').get(serialNumber)
  if (!row) return undefined
  const text = (column: string) => String(row[column])
  return {
    serialNumber,
    kind: text('kind'),
    spiffeId: text('spiffe_id'),
    nodeName: text('node_name'),
    podUid: text('pod_uid'),
    publicKeySha256: text('public_key_sha256'),
    authorityKeyId: text('authority_key_id'),
    notAfter: new Date(Number(row['not_after'])),
    outcome: text('outcome') as IssuanceRow['outcome'],
    endedAt: row['ended_at'] === null ? undefined : new Date(Number(row['ended_at'])),
  }
}

/** After how long a node that holds nothing is forgotten, so that the table stays as large as the fleet. */
const FORGET_AFTER_MS = 30 * 24 * 3_600_000

function holders(database: DatabaseSync, at: number): ReadonlyMap<string, Date> {
  database.prepare('DELETE FROM holder WHERE not_after < ?').run(at - FORGET_AFTER_MS)
  const rows = database.prepare('SELECT node_name, not_after FROM holder WHERE not_after > ?').all(at)
  return new Map(rows.map((row) => [String(row['node_name']), new Date(Number(row['not_after']))]))
}
