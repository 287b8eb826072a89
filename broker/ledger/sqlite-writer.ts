import { hash } from 'node:crypto'
import type { DatabaseSync } from 'node:sqlite'
import { IdentityError } from '../../core/runtime/errors.ts'
import { type AuditKey, link, prunedSeal } from './audit-chain.ts'
import type { AuthoritiesRecord, ConclusionRecord, EndRecord, IntentRecord } from './audit-record.ts'
import { type ChainHead, headOf } from './sqlite-database.ts'

/**
 * One thing to write, as it crosses to the worker: two strings are the cheapest that there is to clone. Rows are derived
 * from the text of the audit record, which is chained exactly as it stands; of `end`, what was true of it is.
 */
export type Write = readonly [kind: 'audit' | 'intent' | 'conclusion' | 'end' | 'authorities', text: string]

/** What `authorities` writes. */
export interface SavedAuthorities {
  readonly at: string
  readonly document: string
}

/** Turns batches of writes into transactions. */
export class SqliteWriter {
  readonly #database: DatabaseSync
  readonly #statements
  readonly #key: AuditKey
  #head: ChainHead

  constructor(database: DatabaseSync, key: AuditKey) {
    this.#database = database
    this.#key = key
    this.#head = headOf(database, key)
    this.#statements = prepare(database)
  }

  /**
   * The newest record, which must be the one that was written last: whoever changes the file may have cut it off, or have
   * kept it from being written.
   *
   * @throws `IdentityError` `store_corrupt`.
   */
  head(): ChainHead {
    const { seq, hash } = headOf(this.#database, this.#key)
    if (seq !== this.#head.seq || hash !== this.#head.hash) {
      throw new IdentityError(
        'store_corrupt',
        `the newest audit record is not ${this.#head.seq} (${this.#head.hash}), which was written last`,
      )
    }
    return this.#head
  }

  /** Writes all or nothing; returns once it is on the disk. */
  commit(writes: readonly Write[]): void {
    const before = this.#head
    const holders = new Map<string, number>()
    this.#database.exec('BEGIN IMMEDIATE')
    try {
      for (const [kind, text] of writes) this.#apply(kind, text, holders)
      for (const [nodeName, notAfter] of holders) this.#statements.holder.run(nodeName, notAfter)
      this.#database.exec('COMMIT')
    } catch (error) {
      this.#head = before
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      throw error
    }
  }

  /**
   * Lets go of issuance rows that expired and audit records that were written before `before` (milliseconds since 1970):
   * the oldest, a few at a time. The chain then begins after the last record that has gone. What says which document of
   * the authorities is the newest stays, and all after it.
   *
   * @returns the number of rows that have gone.
   */
  prune(before: number): number {
    const rows = this.#statements.oldestRecords.all(this.#head.authorities || this.#head.seq, PRUNED_AT_ONCE)
    const kept = rows.findIndex(({ record }) => !(writtenAt(String(record)) < before))
    const last = rows[(kept === -1 ? rows.length : kept) - 1]
    this.#database.exec('BEGIN IMMEDIATE')
    try {
      let gone = Number(this.#statements.pruneIssuance.run(PRUNED_AT_ONCE, before).changes)
      if (last) {
        const [seq, chained] = [Number(last['seq']), String(last['hash'])]
        gone += Number(this.#statements.pruneAudit.run(seq).changes)
        this.#statements.pruned.run(seq, chained, prunedSeal(seq, chained, this.#key))
      }
      this.#database.exec('COMMIT')
      return gone
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      throw error
    }
  }

  #apply(kind: Write[0], text: string, holders: Map<string, number>): void {
    if (kind === 'authorities') {
      this.#saveAuthorities(JSON.parse(text) as SavedAuthorities)
      return
    }
    if (kind === 'end') {
      this.#end(JSON.parse(text) as EndRecord)
      return
    }
    this.#append(text)
    if (kind === 'intent') this.#intend(JSON.parse(text) as IntentRecord, holders)
    else if (kind === 'conclusion') this.#conclude(JSON.parse(text) as ConclusionRecord)
  }

  #append(record: string, isOfAuthorities = false): void {
    const seq = this.#head.seq + 1
    const row = { seq, authorities: isOfAuthorities ? seq : this.#head.authorities, record }
    const chained = link(this.#head.hash, row, this.#key)
    this.#statements.audit.run(seq, row.authorities, record, chained)
    this.#head = { seq, authorities: row.authorities, hash: chained }
  }

  /** The chain says which document is the newest, so that an older one that is put back is told from it. */
  #saveAuthorities({ at, document }: SavedAuthorities): void {
    const record: AuthoritiesRecord = { event: 'authorities_saved', at, sha256: hash('sha256', document, 'hex') }
    this.#append(JSON.stringify(record), true)
    this.#statements.authorities.run(document)
  }

  #intend(record: IntentRecord, holders: Map<string, number>): void {
    const { serialNumber, kind, spiffeId, nodeName, namespace, serviceAccount, podUid } = record
    const { publicKeySha256, authorityKeyId, notAfter } = record
    this.#statements.intent.run(
      serialNumber,
      kind,
      spiffeId,
      nodeName,
      namespace,
      serviceAccount,
      podUid,
      publicKeySha256,
      authorityKeyId,
      notAfter,
    )
    if (nodeName !== '') holders.set(nodeName, Math.max(notAfter, holders.get(nodeName) ?? 0))
  }

  #conclude({ serialNumbers, outcome }: ConclusionRecord): void {
    for (const serialNumber of serialNumbers) this.#statements.conclusion.run(outcome, serialNumber)
  }

  /** Only what has ended now is put down: neither what never was, nor what is not the node's, nor what had ended before. */
  #end(record: EndRecord): void {
    const endedAt = Date.parse(record.at)
    const serialNumbers = record.serialNumbers.filter(
      (serialNumber) => this.#statements.end.run(endedAt, serialNumber, record.nodeName).changes === 1,
    )
    if (serialNumbers.length > 0) this.#append(JSON.stringify({ ...record, serialNumbers } satisfies EndRecord))
  }
}

/** Rows of each table in one transaction, so that whoever waits to write hardly notices. */
const PRUNED_AT_ONCE = 500

function writtenAt(record: string): number {
  return Date.parse(String((JSON.parse(record) as { at?: unknown }).at))
}

function prepare(database: DatabaseSync) {
  return {
    audit: database.prepare('INSERT INTO audit (seq, authorities, record, hash) VALUES (?, ?, ?, ?)'),
    intent: database.prepare(
      `INSERT INTO issuance (serial_number, kind, spiffe_id, node_name, namespace, service_account, pod_uid,
         public_key_sha256, authority_key_id, not_after) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    conclusion: database.prepare('UPDATE issuance SET outcome = ? WHERE serial_number = ?'),
    end: database.prepare(
      'UPDATE issuance SET ended_at = ? WHERE serial_number = ? AND node_name = ? AND ended_at IS NULL',
    ),
    holder: database.prepare(
      `INSERT INTO holder (node_name, not_after) VALUES (?, ?)
         ON CONFLICT (node_name) DO UPDATE SET not_after = max(not_after, excluded.not_after)`,
    ),
    oldestRecords: database.prepare('SELECT seq, record, hash FROM audit WHERE seq < ? ORDER BY seq LIMIT ?'),
    pruneAudit: database.prepare('DELETE FROM audit WHERE seq <= ?'),
    pruned: database.prepare('UPDATE chain SET pruned_seq = ?, pruned_hash = ?, pruned_seal = ?'),
    // Serial numbers ascend with time, so the oldest are the first.
    pruneIssuance: database.prepare(
      `DELETE FROM issuance WHERE serial_number IN (SELECT serial_number FROM issuance ORDER BY serial_number LIMIT ?)
         AND not_after < ?`,
    ),
    authorities: database.prepare(
      'INSERT INTO authorities (id, document) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET document = excluded.document',
    ),
  }
}
