import { DatabaseSync } from 'node:sqlite'
import { IdentityError } from '../../core/runtime/errors.ts'
import { type ChainedRecord, ChainVerifier, GENESIS } from './audit-chain.ts'
import { MIGRATIONS } from './migrations.ts'

export interface DatabaseOptions {
  readonly file: string
  /** The most that the file may grow to, in pages of 4 KiB; unlimited without it. */
  readonly maxPages?: number | undefined
}

/** How many of the newest audit records are checked at each start. All of them: `verifyChain`. */
const CHECKED_AT_START = 1000

/**
 * Opens (or makes) the ledger: write-ahead log, full sync on every commit. A second program that would write is kept out,
 * since it would fork the audit chain; who only reads (`sqlite3 -readonly`) is not.
 *
 * @throws what SQLite throws; `IdentityError` `store_too_new` or `store_corrupt`.
 */
export function openDatabase({ file, maxPages }: DatabaseOptions): DatabaseSync {
  const database = new DatabaseSync(file, { timeout: 500 })
  try {
    keepOthersOut(database, file)
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;')
    database.exec('PRAGMA temp_store = MEMORY; PRAGMA cache_size = -4096; PRAGMA wal_autocheckpoint = 4000;')
    if (maxPages !== undefined) database.exec(`PRAGMA max_page_count = ${maxPages}`)
    migrate(database)
    checkTail(database)
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

/** Holds an exclusive lock on an empty database beside the ledger for as long as the connection lives, crash included. */
function keepOthersOut(database: DatabaseSync, file: string): void {
  database.prepare('ATTACH ? AS guard').run(`${file}.lock`)
  database.exec('PRAGMA guard.locking_mode = EXCLUSIVE; PRAGMA guard.user_version = 1;')
}

function migrate(database: DatabaseSync): void {
  const version = Number(database.prepare('PRAGMA user_version').get()?.['user_version'])
  if (version > MIGRATIONS.length) {
    throw new IdentityError(
      'store_too_new',
      `the ledger has schema ${version}; this program knows ${MIGRATIONS.length}`,
    )
  }
  for (const [index, step] of MIGRATIONS.entries()) {
    if (index < version) continue
    database.exec(`BEGIN EXCLUSIVE; ${step}; PRAGMA user_version = ${index + 1}; COMMIT;`)
  }
}

/** The newest record, to chain on. */
export function headOf(database: DatabaseSync): { readonly seq: number; readonly hash: string } {
  const row = database.prepare('SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1').get()
  return row ? { seq: Number(row['seq']), hash: String(row['hash']) } : { seq: 0, hash: GENESIS }
}

function checkTail(database: DatabaseSync): void {
  const { seq } = headOf(database)
  verifyChain(database, Math.max(1, seq - CHECKED_AT_START + 1))
}

/**
 * Walks the audit chain from record `from` to its end.
 *
 * @returns the number of records walked.
 * @throws `IdentityError` `store_corrupt`, with the number of the first that does not fit.
 */
export function verifyChain(database: DatabaseSync, from = 1): number {
  const before = database.prepare('SELECT hash FROM audit WHERE seq = ?').get(from - 1)
  const verifier = new ChainVerifier(before ? String(before['hash']) : GENESIS, from)
  let count = 0
  for (const row of database.prepare('SELECT seq, record, hash FROM audit WHERE seq >= ? ORDER BY seq').iterate(from)) {
    if (!verifier.accept(row as unknown as ChainedRecord)) {
      throw new IdentityError('store_corrupt', `the audit chain is broken at record ${String(row['seq'])}`)
    }
    count += 1
  }
  return count
}
