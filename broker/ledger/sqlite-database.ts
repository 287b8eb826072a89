import { closeSync, openSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { IdentityError } from '../../core/runtime/errors.ts'
import { type AuditKey, type ChainedRecord, ChainVerifier, genesis, isSame, prunedSeal } from './audit-chain.ts'
import { CHECKPOINT_PAGES, KEPT_BYTES } from './log-length.ts'
import { MIGRATIONS } from './migrations.ts'

export interface DatabaseOptions {
  readonly file: string
  readonly auditKey: AuditKey
  /** The most that the file may grow to, in pages of 4 KiB; unlimited without it. */
  readonly maxPages?: number | undefined
}

/** How many of the newest audit records are checked at each start. All of them: `verifyChain`. */
const CHECKED_AT_START = 1000

/**
 * Opens (or makes) the ledger: write-ahead log, full sync on every commit. A second program that would write is kept out,
 * since it would fork the audit chain; who only reads (`sqlite3 -readonly`) is not.
 *
 * @throws what SQLite throws; `IdentityError` `store_too_new`, `store_corrupt`, or `key_store_locked` if the chain has another key.
 */
export function openDatabase({ file, auditKey, maxPages }: DatabaseOptions): DatabaseSync {
  makeForOwnerAlone(file)
  const database = new DatabaseSync(file, { timeout: 500 })
  try {
    keepOthersOut(database, file)
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;')
    database.exec('PRAGMA temp_store = MEMORY; PRAGMA cache_size = -4096;')
    database.exec(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}; PRAGMA journal_size_limit = ${KEPT_BYTES};`)
    if (maxPages !== undefined) database.exec(`PRAGMA max_page_count = ${maxPages}`)
    migrate(database)
    checkKey(database, auditKey)
    checkTail(database, auditKey)
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

/** SQLite would make a file that everybody may read; its log and its shared memory take the mode of the file. */
function makeForOwnerAlone(file: string): void {
  try {
    closeSync(openSync(file, 'ax', 0o600))
  } catch {
    // It is there, or cannot be made: SQLite says which.
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
  checkSchema(database, version)
  for (const [index, step] of MIGRATIONS.entries()) {
    if (index < version) continue
    database.exec(`BEGIN EXCLUSIVE; ${step}; PRAGMA user_version = ${index + 1}; COMMIT;`)
  }
}

/**
 * A database file is a program as well: a trigger keeps records from being written, a view shows another chain whenever it
 * is asked. So our tables must be what our own steps make, word for word. Tables of others beside them lead to nothing.
 */
function checkSchema(database: DatabaseSync, version: number): void {
  const ours = new DatabaseSync(':memory:')
  try {
    for (const step of MIGRATIONS.slice(0, version)) ours.exec(step)
    const tables = ours
      .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")
      .all()
      .map(({ name }) => name)
    if (schemaOf(database, tables) === schemaOf(ours, tables)) return
  } finally {
    ours.close()
  }
  throw new IdentityError('store_corrupt', 'the tables of the ledger are not as this program makes them')
}

function schemaOf(database: DatabaseSync, tables: readonly unknown[]): string {
  const schema = database.prepare(
    `SELECT type, name, tbl_name, sql FROM sqlite_schema
     WHERE type IN ('trigger', 'view') OR lower(tbl_name) IN (SELECT value FROM json_each(?)) ORDER BY type, name`,
  )
  return JSON.stringify(schema.all(JSON.stringify(tables)))
}

/** Whether this is the key of the chain; a new ledger takes it as its own. */
function checkKey(database: DatabaseSync, key: AuditKey): void {
  const known = database.prepare('SELECT key_id FROM chain').get()?.['key_id']
  if (known === key.id) return
  if (known !== undefined) {
    throw new IdentityError('key_store_locked', 'the ledger was written with another wrapping key than the one given')
  }
  if (database.prepare('SELECT 1 FROM audit UNION ALL SELECT 1 FROM authorities LIMIT 1').get()) {
    throw new IdentityError('store_corrupt', 'the ledger does not say where its audit chain begins')
  }
  const hash = genesis(key)
  database.prepare('INSERT INTO chain VALUES (1, ?, 0, ?, ?)').run(key.id, hash, prunedSeal(0, hash, key))
}

/** The newest record, to chain on. */
export interface ChainHead {
  readonly seq: number
  readonly authorities: number
  readonly hash: string
}

/** @throws `IdentityError` `store_corrupt`. */
export function headOf(database: DatabaseSync, key: AuditKey): ChainHead {
  const newest = lastOf(database)
  if (newest === undefined) return { ...prunedUpTo(database, key), authorities: 0 }
  const { seq, authorities, hash } = recordAt(database, key, newest)
  return { seq, authorities, hash }
}

function lastOf(database: DatabaseSync): number | undefined {
  const seq = database.prepare('SELECT max(seq) AS seq FROM audit').get()?.['seq']
  return typeof seq === 'number' ? seq : undefined
}

/**
 * The record `seq`, whose link is checked: the file may have been written to since it was opened.
 *
 * @throws `IdentityError` `store_corrupt`.
 */
export function recordAt(database: DatabaseSync, key: AuditKey, seq: number): ChainedRecord {
  const select = database.prepare('SELECT seq, authorities, record, hash FROM audit WHERE seq = ?')
  const before = select.get(seq - 1)?.['hash']
  const row = select.get(seq) as ChainedRecord | undefined
  const verifier = new ChainVerifier(before === undefined ? prunedUpTo(database, key).hash : String(before), seq, key)
  if (!row || !verifier.accept(row)) throw brokenAt(seq)
  return row
}

/**
 * The last record that was let go, or what comes before the first.
 *
 * @throws `IdentityError` `store_corrupt`.
 */
export function prunedUpTo(database: DatabaseSync, key: AuditKey): { readonly seq: number; readonly hash: string } {
  const row = database.prepare('SELECT pruned_seq, pruned_hash, pruned_seal FROM chain').get()
  const [seq, hash] = [Number(row?.['pruned_seq']), String(row?.['pruned_hash'])]
  if (!isSame(prunedSeal(seq, hash, key), String(row?.['pruned_seal']))) {
    throw new IdentityError('store_corrupt', 'where the audit chain begins was changed by somebody else')
  }
  return { seq, hash }
}

function checkTail(database: DatabaseSync, key: AuditKey): void {
  const first = prunedUpTo(database, key).seq + 1
  const seq = lastOf(database) ?? 0
  const oldest = database.prepare('SELECT min(seq) AS seq FROM audit').get()?.['seq'] ?? first
  if (oldest !== first) throw brokenAt(first)
  verifyChain(database, key, Math.max(first, seq - CHECKED_AT_START + 1))
}

/**
 * Walks the audit chain from record `from` (default: the first there is) to its end.
 *
 * @returns the number of records walked.
 * @throws `IdentityError` `store_corrupt`, with the number of the first that does not fit.
 */
export function verifyChain(database: DatabaseSync, key: AuditKey, from?: number): number {
  const pruned = prunedUpTo(database, key)
  const first = from ?? pruned.seq + 1
  const before = database.prepare('SELECT hash FROM audit WHERE seq = ?').get(first - 1)
  const verifier = new ChainVerifier(before ? String(before['hash']) : pruned.hash, first, key)
  let count = 0
  const rows = database.prepare('SELECT seq, authorities, record, hash FROM audit WHERE seq >= ? ORDER BY seq')
  for (const row of rows.iterate(from === undefined ? 0 : first)) {
    if (!verifier.accept(row as unknown as ChainedRecord)) throw brokenAt(row['seq'])
    count += 1
  }
  return count
}

function brokenAt(seq: unknown): IdentityError {
  return new IdentityError('store_corrupt', `the audit chain is broken at record ${String(seq)}`)
}
