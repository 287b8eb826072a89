import type { Socket } from 'node:net'
import type { KeyType } from '../../core/pki/key.ts'
import type { SpiffeId } from '../../core/spiffe/spiffe-id.ts'
import type { X509Bundle } from '../../core/spiffe/bundle.ts'

/** The pod that an identity is for. */
export interface PodRef {
  readonly podUid: string
  readonly podName: string
  readonly namespace: string
  readonly serviceAccount: string
}

/** An X.509-SVID with its private key, ready to be put into a volume. */
export interface SvidMaterial {
  readonly id: SpiffeId
  /** DER, leaf first, then intermediates. */
  readonly chain: readonly Uint8Array[]
  /** PKCS#8 in DER. */
  readonly privateKey: Uint8Array
  readonly notAfter: Date
  readonly hint: string
  /** Of the leaf, lower-case hex. */
  readonly serialNumber: string
}

/** The trust bundles of a workload: its own trust domain's, and those it federates with. */
export interface Bundles {
  readonly own: X509Bundle
  readonly federated: readonly X509Bundle[]
}

/** What is put into a volume, all at once. */
export interface Delivered {
  readonly svid: SvidMaterial
  readonly bundles: Bundles
}

/** Where a workload's identity is put. */
export interface Delivery {
  /**
   * Replaces all files at once.
   *
   * @throws {@link IdentityError} `volume_pinned`: whom to trust is in the files all the same, the SVID is not.
   */
  write(material: Delivered): Promise<void>
  /** What is there, to take up again after a restart of the agent. */
  read(): Promise<SvidMaterial | undefined>
  /** Opens the pod's own socket; who connects to it is the workload. */
  listen(accept: (connection: Socket) => void): Promise<void>
  /** Stops listening and closes descriptors; nothing is deleted, for the agent comes back. */
  close(): Promise<void>
  /** The pod is gone: wipes the files, and unmounts. */
  remove(): Promise<void>
}

/** A workload as it is handed to `Workloads`. */
export interface WorkloadRequest {
  /** The volume's ID, or the name of a declared workload. */
  readonly id: string
  readonly pod: PodRef
  /** Whose limits its connections count against; itself, if nobody else is named. */
  readonly owner?: string | undefined
  readonly delivery: Delivery
  /** The pod's bound ServiceAccount token; kept in memory only. */
  readonly token?: string | undefined
  readonly keyType?: KeyType | undefined
}
