/**
 * The worker thread that answers what operators ask: it has a connection of its own that only reads, so that neither the
 * thread that writes nor the one that serves agents waits for a search.
 *
 * @module
 */
import { DatabaseSync } from 'node:sqlite'
import { parentPort, workerData } from 'node:worker_threads'
import { systemClock } from '../../core/runtime/system-clock.ts'
import type { AuditKey } from './audit-chain.ts'
import { auditRecords, issuance } from './audit-query.ts'
import { holders, identities, identity } from './identity-query.ts'
import type { AuditFilter, AuditRecordRow, IdentityFilter, IdentityRow, PageBounds, PageOf } from './ledger-queries.ts'
import { blockThread, LogPause, logLength } from './log-length.ts'
import { QueryBudget } from './query-budget.ts'
import { recordAt } from './sqlite-database.ts'
import { storeFailure, type StoreFailure } from './store-error.ts'

/** What can be asked, as it crosses to the worker. */
export type LedgerQuestion =
  | { readonly ask: 'identities'; readonly filter: IdentityFilter; readonly page: PageBounds }
  | { readonly ask: 'identity'; readonly serialNumber: string }
  | { readonly ask: 'issuance'; readonly serialNumber: string }
  | { readonly ask: 'auditRecords'; readonly filter: AuditFilter; readonly page: PageBounds }
  | { readonly ask: 'holders'; readonly at: Date; readonly nodeName: string | undefined }

export interface LedgerAnswers {
  readonly identities: PageOf<IdentityRow>
  readonly identity: IdentityRow | undefined
  readonly issuance: AuditRecordRow | undefined
  readonly auditRecords: PageOf<AuditRecordRow>
  readonly holders: ReadonlyMap<string, Date>
}

export type Asked = LedgerQuestion & { readonly id: number }
export type Answered =
  { readonly id: number; readonly value: unknown } | { readonly id: number; readonly failure: StoreFailure }

const port = parentPort
if (port === null) throw new TypeError('this file runs as a worker')

export interface QueryWorkerData {
  readonly file: string
  /** What the records are chained with. */
  readonly auditKey: AuditKey
}

const { file, auditKey } = workerData as QueryWorkerData
const pause = new LogPause({ clock: systemClock, length: () => logLength(file), block: blockThread })
let database: DatabaseSync | undefined

port.on('message', (asked: Asked) => {
  const { id } = asked
  try {
    // Once the writer is there; a failure to open is an answer, and the next question tries again.
    database ??= new DatabaseSync(file, { readOnly: true, timeout: 500 })
    pause.take()
    port.postMessage({ id, value: atOnce(database, asked) } satisfies Answered)
  } catch (error) {
    port.postMessage({ id, failure: storeFailure(error) } satisfies Answered)
  }
})

/** The file as it is in one moment: records that are let go meanwhile must not look as if somebody had taken them. */
function atOnce(from: DatabaseSync, asked: LedgerQuestion): LedgerAnswers[LedgerQuestion['ask']] {
  from.exec('BEGIN')
  try {
    return answer(from, asked)
  } finally {
    from.exec('ROLLBACK')
  }
}

function answer(from: DatabaseSync, asked: LedgerQuestion): LedgerAnswers[LedgerQuestion['ask']] {
  const budget = new QueryBudget(systemClock)
  switch (asked.ask) {
    case 'identities':
      return identities(from, asked.filter, asked.page, budget)
    case 'identity':
      return identity(from, asked.serialNumber)
    case 'holders':
      return holders(from, asked.at, asked.nodeName)
    case 'issuance': {
      const found = issuance(from, asked.serialNumber, budget)
      checkRecords(from, found ? [found] : [])
      return found
    }
    case 'auditRecords': {
      const page = auditRecords(from, asked.filter, asked.page, budget)
      checkRecords(from, page.rows)
      return page
    }
  }
}

/** Whoever writes the file can put records in: what is served as one of ours must be linked as ours are. */
function checkRecords(from: DatabaseSync, rows: readonly AuditRecordRow[]): void {
  for (const { seq } of rows) recordAt(from, auditKey, seq)
}
