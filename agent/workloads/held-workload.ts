import type { KeyType } from '../../core/pki/key.ts'
import { codeOf, IdentityError } from '../../core/runtime/errors.ts'
import { leadsTo } from './bundle-comparison.ts'
import { Latest } from './latest.ts'
import type { Lifetime } from './ports.ts'
import type { Bundles, Delivered, Delivery, PodRef, SvidMaterial, WorkloadRequest } from './workload.ts'

const DEFAULT_KEY_TYPE: KeyType = 'ec-p256'

/** One workload on this node: what it is, what it holds, and who is told when that changes. */
export class HeldWorkload {
  readonly id: string
  pod: PodRef
  readonly owner: string
  readonly delivery: Delivery
  /** What its streams follow. */
  readonly identity = new Latest<Delivered>()
  /** Ends what is under way for it. */
  readonly removal = new AbortController()
  /** In memory alone (invariant 6). */
  token: string | undefined
  keyType: KeyType
  expiresAtMs = 0
  /** Why the last renewal failed; undefined once one succeeds. */
  lastFailure: unknown
  /** Since when newer bundles could not be written, on the monotonic clock; undefined once they are. */
  unwritableSinceMs: number | undefined
  /** An SVID that came, and is not in the files yet. */
  unwritten: { readonly svid: SvidMaterial; readonly lifetime: Lifetime } | undefined
  #delivered: Delivered | undefined
  /** Whether the files are known to hold what is in `#delivered`: not after a restart of the agent. */
  #isWritten = false
  /** Writes happen one after the other, in the order they were asked for. */
  #turn: Promise<void> = Promise.resolve()

  constructor({ id, pod, owner = id, delivery, token, keyType = DEFAULT_KEY_TYPE }: WorkloadRequest) {
    this.id = id
    this.pod = pod
    this.owner = owner
    this.delivery = delivery
    this.token = token
    this.keyType = keyType
  }

  get svid(): SvidMaterial | undefined {
    return this.#delivered?.svid
  }

  /** Of all SVIDs that it holds, written or not. */
  get serialNumbers(): string[] {
    const serials = [this.svid, this.unwritten?.svid].flatMap((svid) => svid?.serialNumber ?? [])
    return [...new Set(serials)]
  }

  /** Takes up what a former run of the agent has delivered. Its bundles may be older than `bundles`. */
  recovered(svid: SvidMaterial, bundles: Bundles): void {
    this.#delivered = { svid, bundles }
    this.identity.set(this.#delivered)
  }

  /**
   * Writes a new SVID with the bundles of the moment of writing, then tells the streams: nobody sees one without the other.
   *
   * @throws {@link IdentityError} `authority_unavailable` if those no longer hold the authority that signed it: what was
   *   looked at when it came may have been withdrawn since, and its peers would refuse it.
   */
  deliver(svid: SvidMaterial, bundles: () => Bundles): Promise<void> {
    return this.#inTurn(async () => {
      const current = bundles()
      if (!leadsTo(svid, current.own))
        throw new IdentityError('authority_unavailable', 'the authority was withdrawn while its SVID was on its way')
      await this.#write({ svid, bundles: current })
      if (this.#delivered) this.identity.set(this.#delivered)
    })
  }

  /**
   * Brings files and streams up to `bundles`, keeping the SVID. Streams that have ended (the SVID has expired or is
   * denied) stay so.
   */
  enforce(bundles: () => Bundles): Promise<void> {
    return this.#inTurn(async () => {
      const svid = this.svid
      if (!svid || (this.#isWritten && this.#delivered?.bundles === bundles())) return
      const material = { svid, bundles: bundles() }
      await this.#write(material).catch((error: unknown) => {
        if (codeOf(error) !== 'volume_pinned') throw error
        // By its own doing, which keeps nobody else waiting: the renewals of its SVID fail, and tell of it.
        this.#hold(material)
      })
      if (this.#delivered && !this.identity.end) this.identity.set(this.#delivered)
    })
  }

  async #write(material: Delivered): Promise<void> {
    if (this.removal.signal.aborted) return
    await this.delivery.write(material)
    this.#hold(material)
  }

  #hold(material: Delivered): void {
    this.#delivered = material
    this.#isWritten = true
    this.unwritableSinceMs = undefined
  }

  /** Resolves when nothing is being written any more. */
  idle(): Promise<void> {
    return this.#inTurn(async () => {})
  }

  #inTurn(task: () => Promise<void>): Promise<void> {
    const mine = this.#turn.then(task)
    this.#turn = mine.catch(() => {})
    return mine
  }
}
