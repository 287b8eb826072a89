import type { WorkloadIdentity } from '../../registration/workload-identity.ts'
import type { IdentityRow } from '../../ledger/ledger-queries.ts'
import type { NodeAgent } from '../agent-answers.ts'
import type { PodView } from './pod-view.ts'

/** What was asked for: found, not there, or it could not be found out. */
export type Found<T> =
  | { readonly is: 'there'; readonly value: T }
  | { readonly is: 'absent' }
  | { readonly is: 'unknown'; readonly error: unknown }

/** What the templates give the pod, and how that came. */
export interface RegistrationVerdict {
  /** Sentences that say which templates were looked at, and why they select the pod or not. */
  readonly reasons: readonly string[]
  readonly identity: WorkloadIdentity | undefined
  /** Why there is none. */
  readonly refusal: unknown
}

/** A refusal of the audit that concerns the pod. */
export interface PastRefusal {
  readonly at: Date
  readonly code: string
  readonly reason: string
  readonly nodeName: string
}

/** What the ledger has of the pod, newest first. */
export interface PastOf<T> {
  readonly rows: readonly T[]
  /** Set where the search was not at its end when the time was over. */
  readonly searchedTo: Date | undefined
}

/** All that is known of a pod at one moment; what it comes to is decided from this alone. */
export interface PodEvidence {
  readonly now: Date
  readonly pod: PodView
  /** `undefined` as long as the pod has no node. */
  readonly agent: NodeAgent | undefined
  readonly bundleSequence: bigint
  readonly serviceAccount: Found<string>
  readonly registration: RegistrationVerdict
  readonly identities: Found<PastOf<IdentityRow>>
  readonly refusals: Found<PastOf<PastRefusal>>
}
