import type { ChainedRecord } from './audit-chain.ts'
import type { IssuanceIntent, IssuanceRow } from './ledger.ts'

/** Where an SVID is in its life: `valid` holds of those that are neither failed, nor expired, nor ended. */
export type SvidState = 'valid' | 'ended' | 'expired' | 'failed'

/** Which SVIDs: all that are given must hold. */
export interface IdentityFilter {
  readonly namespace?: string | undefined
  readonly spiffeId?: string | undefined
  /** This SPIFFE ID and those below it, by whole path segments. */
  readonly spiffeIdPrefix?: string | undefined
  readonly serviceAccount?: string | undefined
  readonly nodeName?: string | undefined
  readonly podUid?: string | undefined
  readonly kind?: IssuanceIntent['kind'] | undefined
  /** At `at`. */
  readonly state?: SvidState | undefined
  readonly at: Date
  /** Those that were made before are not looked at: bounds a search for what cannot be older. */
  readonly issuedAfter?: Date | undefined
}

/** An SVID as it is listed. */
export interface IdentityRow extends IssuanceRow {
  readonly namespace: string
  readonly serviceAccount: string
}

/** Which records: all that are given must hold. */
export interface AuditFilter {
  readonly events?: readonly string[]
  /** Facts of the record by name, for example `podUid`. `serialNumber` finds records with lists of them, too. */
  readonly facts: Readonly<Record<string, string>>
  readonly since?: Date
  readonly until?: Date
}

/** A record as it is listed. */
export type AuditRecordRow = Omit<ChainedRecord, 'authorities'>

/** A part of a list, newest first. */
export interface PageOf<T> {
  readonly rows: readonly T[]
  /** Where to go on; `undefined` at the end. There may be more though the page is not full. */
  readonly next: string | undefined
  /** When the oldest row that was looked at was written, as far as it says. */
  readonly searchedTo: Date | undefined
}

export interface PageBounds {
  /** `next` of the page before. */
  readonly after: string | undefined
  readonly size: number
}

/**
 * What operators ask of the ledger. Each answer takes a bounded time whatever the ledger holds, and none delays what is
 * being written.
 *
 * All throw `IdentityError` `store_unavailable`, `store_corrupt`, `overloaded` or `deadline_exceeded`.
 */
export interface LedgerQueries {
  identities(filter: IdentityFilter, page: PageBounds): Promise<PageOf<IdentityRow>>
  identity(serialNumber: string): Promise<IdentityRow | undefined>
  /** The record of an issuance, as far as it is found in time. */
  issuance(serialNumber: string): Promise<AuditRecordRow | undefined>
  auditRecords(filter: AuditFilter, page: PageBounds): Promise<PageOf<AuditRecordRow>>
  /** As `Holders.unexpired`, of all nodes or of one. */
  holders(at: Date, nodeName?: string): Promise<ReadonlyMap<string, Date>>
  close(): Promise<void>
}
