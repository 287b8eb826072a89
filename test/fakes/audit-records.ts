import { DatabaseSync } from 'node:sqlite'

/** The audit records in the ledger of a broker that has stopped. */
export function auditRecords(ledgerFile: string): Record<string, unknown>[] {
  const database = new DatabaseSync(ledgerFile, { readOnly: true })
  try {
    const rows = database.prepare('SELECT record FROM audit ORDER BY seq').all()
    return rows.map((row) => JSON.parse(String(row['record'])) as Record<string, unknown>)
  } finally {
    database.close()
  }
}
