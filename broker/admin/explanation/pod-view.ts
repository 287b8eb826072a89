/** What of a pod decides about its identity. */
export interface PodView {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly createdAt: Date
  /** `undefined` as long as it is not scheduled. */
  readonly nodeName: string | undefined
  readonly serviceAccount: string
  readonly phase: string
  readonly isBeingDeleted: boolean
  /** Why it is not scheduled, in the scheduler's words; empty where it is. */
  readonly unscheduled: string
  /** Its volumes of our driver. */
  readonly volumes: readonly PodVolume[]
}

export interface PodVolume {
  readonly name: string
  readonly isReadOnly: boolean
  readonly attributes: readonly string[]
  /** The containers that mount it. */
  readonly mountedBy: readonly string[]
}

/** What ExplainPod asks of the API server; `undefined` for what does not exist. */
export interface PodLookup {
  /** @throws `IdentityError` `kubernetes_unavailable`, `kubernetes_forbidden`. */
  pod(namespace: string, name: string, signal: AbortSignal): Promise<PodView | undefined>
  /** The UID of the ServiceAccount. @throws as {@link pod}. */
  serviceAccount(namespace: string, name: string, signal: AbortSignal): Promise<string | undefined>
}
