import { existsSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { storeError, storeFailure } from './store-error.ts'

/**
 * Whether the ledger in `file` has begun: authorities or audit records are in it, which belong to one wrapping key.
 * Looked at before the key is known, and nothing is written.
 *
 * @throws `IdentityError` `store_unavailable`, `store_corrupt`: nobody knows then.
 */
export function ledgerHasBegun(file: string): boolean {
  if (!existsSync(file)) return false
  try {
    const database = new DatabaseSync(file, { readOnly: true, timeout: 500 })
    try {
      const tables = database.prepare("SELECT name FROM sqlite_schema WHERE name IN ('audit', 'authorities')").all()
      return tables.some(({ name }) => database.prepare(`SELECT 1 FROM ${String(name)} LIMIT 1`).get() !== undefined)
    } finally {
      database.close()
    }
  } catch (error) {
    throw storeError(storeFailure(error))
  }
}
