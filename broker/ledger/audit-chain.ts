import { createHmac, timingSafeEqual } from 'node:crypto'

/** What the chain is keyed with; derived from the wrapping key, and never on the disk that the ledger is on. */
export interface AuditKey {
  /** Tells one key from another, and nothing else about it. */
  readonly id: string
  readonly key: Uint8Array
}

/** One record, as far as its link covers it. */
export interface AuditRow {
  readonly seq: number
  /** The number of the newest record that tells of the authorities' document, this one included; 0 before the first. */
  readonly authorities: number
  readonly record: string
}

/** One stored record. */
export interface ChainedRecord extends AuditRow {
  readonly hash: string
}

/** What the first record is chained to. */
export function genesis({ key }: AuditKey): string {
  return createHmac('sha256', key).update('genesis').digest('hex')
}

/**
 * The link of a record: HMAC-SHA-256 over its number, the link before it and its text, in hexadecimal. Whoever changes,
 * drops or inserts a record would have to compute every later link anew, and cannot without the key.
 */
export function link(previous: string, { seq, authorities, record }: AuditRow, { key }: AuditKey): string {
  return createHmac('sha256', key).update(`${seq}\n${authorities}\n${previous}\n${record}`).digest('hex')
}

/** Says that the records up to `seq`, whose link is `hash`, were let go on purpose. */
export function prunedSeal(seq: number, hash: string, { key }: AuditKey): string {
  return createHmac('sha256', key).update(`pruned\n${seq}\n${hash}`).digest('hex')
}

/** Compares two links or seals. */
export function isSame(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)]
  return a.length === b.length && timingSafeEqual(a, b)
}

/** Checks records that follow each other. Pure, so that an export can be checked anywhere. */
export class ChainVerifier {
  readonly #key: AuditKey
  #previous: string
  #next: number
  #authorities: number | undefined

  /** @param previous the link before the first record; `seq` the number of the first. */
  constructor(previous: string, seq: number, key: AuditKey) {
    this.#key = key
    this.#previous = previous
    this.#next = seq
  }

  /** False if `row` does not continue the chain; then everything from it on is not to be believed. */
  accept(row: ChainedRecord): boolean {
    if (row.seq !== this.#next || !isSame(link(this.#previous, row, this.#key), row.hash)) return false
    if (this.#authorities !== undefined && row.authorities < this.#authorities) return false
    this.#authorities = row.authorities
    this.#previous = row.hash
    this.#next += 1
    return true
  }
}
