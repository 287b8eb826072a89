import type { KeyType } from '../../core/pki/key.ts'
import type { SpiffeId } from '../../core/spiffe/spiffe-id.ts'

/** What is issued to a workload, as its template says. */
export interface WorkloadIdentity {
  readonly id: SpiffeId
  readonly dnsNames: readonly string[]
  readonly ttlMs: number
  readonly keyType: KeyType
  readonly hint: string
  readonly commonName: string | undefined
  /** The name of the template, for records. */
  readonly template: string
}

/** Bounds of an SVID's life, from the broker's configuration. */
export interface TtlBounds {
  readonly minTtlMs: number
  readonly maxTtlMs: number
  readonly defaultTtlMs: number
}
