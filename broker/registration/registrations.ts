import type { KeyType } from '../../core/pki/key.ts'
import type { SpiffeId } from '../../core/spiffe/spiffe-id.ts'
import type { AttestedPod } from '../attestation/attested.ts'

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

export class Registrations {
  identityOf(_pod: AttestedPod, _signal: AbortSignal): Promise<WorkloadIdentity> {
    return Promise.reject(new Error('being written'))
  }
}
