import { hash } from 'node:crypto'

/** What the first record is chained to. */
export const GENESIS = '0'.repeat(64)

/**
 * The link of a record: SHA-256 over the link before it and the record's text, in hexadecimal. Whoever changes, drops or
 * inserts a record would have to compute every later link anew, and the newest one is in the log and in back-ups.
 */
export function link(previous: string, record: string): string {
  return hash('sha256', `${previous}\n${record}`, 'hex')
}

/** One stored record. */
export interface ChainedRecord {
  readonly seq: number
  readonly record: string
  readonly hash: string
}

/** Checks records that follow each other. Pure, so that an export can be checked anywhere. */
export class ChainVerifier {
  #previous: string
  #next: number

  /** @param previous the link before the first record; `seq` the number of the first. */
  constructor(previous: string, seq: number) {
    this.#previous = previous
    this.#next = seq
  }

  /** False if `row` does not continue the chain; then everything from it on is not to be believed. */
  accept({ seq, record, hash: stored }: ChainedRecord): boolean {
    if (seq !== this.#next || link(this.#previous, record) !== stored) return false
    this.#previous = stored
    this.#next += 1
    return true
  }
}
