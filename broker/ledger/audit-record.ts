import type { AuditEvent, IssuanceConclusion, IssuanceIntent } from './ledger.ts'

/** The record of an intent: what the row of the ledger is derived from, so that both always say the same. */
export interface IntentRecord {
  readonly event: 'issuance_intended'
  readonly at: string
  readonly kind: IssuanceIntent['kind']
  readonly serialNumber: string
  readonly spiffeId: string
  readonly publicKeySha256: string
  readonly authorityKeyId: string
  /** Milliseconds since 1970. */
  readonly notBefore: number
  readonly notAfter: number
  readonly nodeName: string
  readonly namespace: string
  readonly podName: string
  readonly podUid: string
  readonly serviceAccount: string
  readonly template: string
  readonly tokenId: string
  readonly reviewed: boolean
}

/** What became of several intents: a record of its own for each would double what an SVID costs the ledger. */
export interface ConclusionRecord {
  readonly event: 'issuance_concluded'
  /** When they were put down, some milliseconds after. */
  readonly at: string
  readonly outcome: IssuanceConclusion['outcome']
  readonly serialNumbers: readonly string[]
}

export interface EndRecord {
  readonly event: 'svids_ended'
  readonly at: string
  readonly nodeName: string
  readonly serialNumbers: readonly string[]
}

/** Which document of the authorities is the newest. */
export interface AuthoritiesRecord {
  readonly event: 'authorities_saved'
  readonly at: string
  /** Of the document's text. */
  readonly sha256: string
}

export function intentRecord(intent: IssuanceIntent, at: Date): IntentRecord {
  const { pod, notBefore, notAfter } = intent
  return {
    event: 'issuance_intended',
    at: at.toISOString(),
    kind: intent.kind,
    serialNumber: intent.serialNumber,
    spiffeId: intent.spiffeId,
    publicKeySha256: intent.publicKeySha256,
    authorityKeyId: intent.authorityKeyId,
    notBefore: notBefore.getTime(),
    notAfter: notAfter.getTime(),
    nodeName: intent.nodeName,
    namespace: pod?.namespace ?? '',
    podName: pod?.name ?? '',
    podUid: pod?.uid ?? '',
    serviceAccount: pod?.serviceAccount ?? '',
    template: intent.template,
    tokenId: intent.tokenId,
    reviewed: intent.reviewed,
  }
}

/** As long as a SPIFFE ID may be. */
const MAX_TEXT = 2048

/**
 * An event whose texts are as long as facts are. Whoever writes one bounds them by what they are; this is for the one that
 * was forgotten: a caller's own text would fill the disk, and a full one issues nothing.
 */
export function boundedTexts(event: AuditEvent): AuditEvent {
  const isLong = (value: AuditEvent[string]): value is string => typeof value === 'string' && value.length > MAX_TEXT
  if (!Object.values(event).some(isLong)) return event
  const entries = Object.entries(event).map(([fact, value]) => [fact, isLong(value) ? value.slice(0, MAX_TEXT) : value])
  return Object.fromEntries(entries) as AuditEvent
}
