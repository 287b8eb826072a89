import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'

/** A record of the broker's audit chain, with its number. */
export interface AuditRecord {
  readonly seq: number
  readonly event: string
  readonly [fact: string]: unknown
}

/** The newest record in the ledger `file` for which `is` holds, waiting for it if need be. */
export async function auditRecord(
  file: string,
  is: (record: AuditRecord) => boolean,
  timeoutMs = 10_000,
): Promise<AuditRecord> {
  const end = performance.now() + timeoutMs
  for (;;) {
    const found = newest(file, is)
    if (found) return found
    if (performance.now() > end) throw new Error(`no such audit record in ${file}`)
    await delay(50)
  }
}

function newest(file: string, is: (record: AuditRecord) => boolean): AuditRecord | undefined {
  const database = new DatabaseSync(file, { readOnly: true })
  try {
    const rows = database.prepare('SELECT seq, record FROM audit ORDER BY seq DESC LIMIT 1000').all()
    return rows
      .map(({ seq, record }) => ({ ...(JSON.parse(String(record)) as AuditRecord), seq: Number(seq) }))
      .find(is)
  } finally {
    database.close()
  }
}

const SHOWN = ['seq', 'event', 'at', 'code', 'nodeName', 'podUid', 'tokenId', 'reviewed', 'reason']

/** What a step shows of a record. */
export function audited(record: AuditRecord): Record<string, unknown> {
  return Object.fromEntries(SHOWN.filter((fact) => (record[fact] ?? '') !== '').map((fact) => [fact, record[fact]]))
}
