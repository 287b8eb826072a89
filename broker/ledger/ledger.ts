/** What is about to be signed, written down before it is (invariant 2). */
export interface IssuanceIntent {
  readonly kind: 'workload' | 'agent' | 'broker'
  /** Hexadecimal, lower case, even length. */
  readonly serialNumber: string
  readonly spiffeId: string
  /** SHA-256 of the SubjectPublicKeyInfo, hexadecimal. */
  readonly publicKeySha256: string
  /** Subject key identifier of the authority that signs, hexadecimal. */
  readonly authorityKeyId: string
  readonly notBefore: Date
  readonly notAfter: Date
  /** The node of the agent that keeps the SVID; empty for the broker's own. */
  readonly nodeName: string
  /** Whose it is, as far as there is a pod. */
  readonly pod?: {
    readonly namespace: string
    readonly name: string
    readonly uid: string
    readonly serviceAccount: string
  }
  /** The template that named the identity; empty for broker and agents. */
  readonly template: string
  /** The token's `jti`. */
  readonly tokenId: string
  /** False: nobody but the JWKS vouched for the token (invariant 3). */
  readonly reviewed: boolean
}

/** What became of an intent. One without any counts as issued (design §10). */
export interface IssuanceConclusion {
  readonly serialNumber: string
  readonly outcome: 'issued' | 'failed'
}

/** A row of the ledger, as it is asked for. */
export interface IssuanceRow {
  readonly serialNumber: string
  readonly kind: string
  readonly spiffeId: string
  readonly nodeName: string
  readonly podUid: string
  readonly publicKeySha256: string
  readonly authorityKeyId: string
  readonly notAfter: Date
  /** `intended`: no result was written, which counts as issued. */
  readonly outcome: 'intended' | 'issued' | 'failed'
  readonly endedAt: Date | undefined
}

/** Which SVIDs there are. */
export interface IssuanceLog {
  /**
   * Resolves once a transaction with full sync holds every intent; never before.
   *
   * @throws `IdentityError` `store_unavailable`, `store_corrupt` or `overloaded`: then nothing may be signed.
   */
  intend(intents: readonly IssuanceIntent[]): Promise<void>
  /** Written with the next transaction, or lost with the process: which errs on the side of "issued". */
  conclude(conclusions: readonly IssuanceConclusion[]): void
  /** The pods of these are gone. Serial numbers that are not of `nodeName` are left as they are (invariant 4). */
  end(nodeName: string, serialNumbers: readonly string[]): void
  find(serialNumber: string): Promise<IssuanceRow | undefined>
}

/** What is put down besides issuance. Every value is for operators; tokens and keys have no place here (invariant 6). */
export interface AuditEvent {
  readonly event:
    | 'attestation_refused'
    | 'issuance_refused'
    | 'refusals_suppressed'
    | 'caller_refused'
    | 'authority_prepared'
    | 'authority_activated'
    | 'authority_retired'
    | 'broker_started'
    | 'admin_called'
    | 'admin_refused'
  readonly [fact: string]: string | number | boolean | readonly string[] | undefined
}

/** What happened, in a chain of hashes. */
export interface AuditLog {
  /** Written with the next transaction, in the order of the calls. Values are facts for operators: never a token or key. */
  record(event: AuditEvent): void
  /** Walks the whole chain. @returns the number of records. @throws `IdentityError` `store_corrupt` at the first that does not fit. */
  verify(): Promise<number>
}

/** Who still holds something that an authority signed. */
export interface Holders {
  /** Node name → end of the newest SVID, its agent's or a pod's, that has not expired at `at`. */
  unexpired(at: Date): Promise<ReadonlyMap<string, Date>>
}

/** Where the authorities outlive the process. What the document says is for its owner to know; its keys are wrapped. */
export interface AuthorityStore {
  load(): Promise<string | undefined>
  /** Replaces it, in one transaction with full sync. */
  save(document: string): Promise<void>
}

/** The four ports in one store. */
export interface Ledger extends IssuanceLog, AuditLog, Holders, AuthorityStore {
  /** Why nothing can be written, or `undefined`. */
  problem(): string | undefined
  /** Writes what is waiting, then closes. */
  close(): Promise<void>
}
