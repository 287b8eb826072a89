import type { Buffer } from 'node:buffer'
import type { PodRef } from './workload.ts'

/** What a busy broker serves first: pods that wait for their first SVID, then those whose SVID is about to end. */
export type Urgency = 'newPod' | 'nearExpiry' | 'routine'

/** One SVID to ask the broker for. */
export interface IssueRequest {
  readonly pod: PodRef
  readonly token: string
  /** PKCS#10 in DER. */
  readonly csr: Buffer
  readonly urgency: Urgency
  /** When the SVID that is to be replaced ends, on the monotonic clock: of equally urgent ones the nearest goes first. */
  readonly expiresAtMs: number
}

/** What the broker issued, as it said. */
export interface IssuedSvid {
  readonly spiffeId: string
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[]
  readonly notAfter: Date
  /** From issuance, for clocks that disagree; `undefined` where the broker said none. */
  readonly lifetimeMs: number | undefined
  readonly hint: string
}

/**
 * Asks the broker for an SVID. Rejects with the broker's own refusal, or `broker_unavailable` when it does not answer.
 */
export type IssueSvid = (request: IssueRequest, signal: AbortSignal) => Promise<IssuedSvid>
