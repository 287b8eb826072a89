import { keyTypeOf } from '../../core/pki/key.ts'
import { parseCertificate } from '../../core/pki/certificate.ts'
import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { Random } from '../../core/runtime/random.ts'
import { enforceEverywhere, holdsUp } from './enforce-bundles.ts'
import { heldUntilServed } from './first-publish.ts'
import { HeldWorkload } from './held-workload.ts'
import type { Latest } from './latest.ts'
import { sameBundles } from './bundle-comparison.ts'
import { authorityOf, Issuances } from './issuances.ts'
import { leftMs } from './lifetime.ts'
import type { BrokerPort, EndpointPort, Lifetime, RenewalPort } from './ports.ts'
import type { Urgency } from './svid-issuing.ts'
import { isDenial } from './transient.ts'
import type { Bundles, Delivered, PodRef, SvidMaterial, WorkloadRequest } from './workload.ts'

export interface WorkloadsDependencies {
  readonly broker: BrokerPort
  readonly renewals: RenewalPort
  readonly endpoint: EndpointPort
  readonly clock: Clock
  readonly random: Random
  /** Told of a workload whose volume keeps the node from acknowledging its bundles, with why it cannot be written. */
  readonly heldUp?: (id: string, pod: PodRef, error: unknown) => void
}

/** What those who find workloads (kubelet, a folder) may do with them. */
export type ServedWorkloads = Pick<Workloads, 'has' | 'add' | 'recover' | 'refreshToken' | 'remove'>

/** What became of a renewal: without a token there is nothing to ask with until kubelet brings one. */
export type Renewal = 'renewed' | 'noToken' | 'gone'

/** How often it is looked whether an order to renew is carried out. */
const LOOK_AGAIN_MS = 500

/** The workloads of this node, from their first SVID to their end. */
export class Workloads {
  readonly #dependencies: WorkloadsDependencies
  readonly #held = new Map<string, HeldWorkload>()
  readonly #flights = new Map<string, Promise<void>>()
  readonly #issuances: Issuances
  #bundles: Bundles
  #closed: IdentityError | undefined

  /** @param bundles those that were enforced last; nothing is delivered without. */
  constructor(bundles: Bundles, dependencies: WorkloadsDependencies) {
    this.#bundles = bundles
    this.#dependencies = dependencies
    const { broker, clock } = dependencies
    this.#issuances = new Issuances({ broker, clock, bundles: () => this.#bundles })
  }

  get size(): number {
    return this.#held.size
  }

  /** How many have a volume to which newer bundles could not be written for a minute. */
  get unwritable(): number {
    return [...this.#held.values()].filter((workload) => holdsUp(workload, this.#dependencies.clock)).length
  }

  has(id: string): boolean {
    return this.#held.has(id)
  }

  /** What the streams of a workload follow. */
  identityOf(id: string): Latest<Delivered> | undefined {
    return this.#held.get(id)?.identity
  }

  /** Who answers for what comes on the socket of a workload. */
  ownerOf(id: string): string {
    return this.#held.get(id)?.owner ?? id
  }

  /** Whose a workload is. */
  podOf(id: string): PodRef | undefined {
    return this.#held.get(id)?.pod
  }

  /** Serial numbers of all SVIDs that are held. */
  serialNumbers(): string[] {
    return [...this.#held.values()].flatMap(({ serialNumbers }) => serialNumbers)
  }

  /**
   * Takes a new workload on: resolves once its files are written and its socket listens. While the broker is away that
   * may take 100 s. Calls for the same workload share one attempt; one that is served already just gets its token.
   *
   * @throws {@link IdentityError} why there is no identity; nothing of the workload is left then.
   */
  async add(request: WorkloadRequest): Promise<void> {
    if (this.#closed) throw this.#closed
    const flight = this.#flights.get(request.id)
    if (flight) return flight
    if (this.#held.has(request.id)) {
      if (request.token !== undefined) this.refreshToken(request.id, request.token)
      return
    }
    const started = this.#start(new HeldWorkload(request)).finally(() => this.#flights.delete(request.id))
    this.#flights.set(request.id, started)
    return started
  }

  async #start(workload: HeldWorkload): Promise<void> {
    this.#held.set(workload.id, workload)
    const { broker, clock, random } = this.#dependencies
    const { signal } = workload.removal
    try {
      const serve = (attempt: AbortSignal) => this.#renewFor(workload, 'newPod', attempt)
      await heldUntilServed(serve, { clock, random, returned: (until) => broker.returned(until) }, signal)
      signal.throwIfAborted()
      await this.#listen(workload)
    } catch (error) {
      this.#held.delete(workload.id)
      this.#dependencies.renewals.forget(workload.id)
      await workload.delivery.remove().catch(() => {})
      throw error
    }
  }

  /**
   * Takes a workload up again after a restart of the agent, without a token: what its files hold is served at once; it is
   * renewed as soon as a token comes.
   */
  async recover(request: WorkloadRequest): Promise<void> {
    if (this.#closed) throw this.#closed
    if (this.#held.has(request.id)) return
    const workload = new HeldWorkload(request)
    this.#held.set(workload.id, workload)
    try {
      await this.#takeUp(workload)
      await this.#listen(workload)
    } catch (error) {
      this.#held.delete(workload.id)
      this.#dependencies.renewals.forget(workload.id)
      await workload.delivery.close().catch(() => {})
      throw error
    }
  }

  async #takeUp(workload: HeldWorkload): Promise<void> {
    const svid = await workload.delivery.read()
    const { clock, broker } = this.#dependencies
    const now = clock.monotonicMs()
    if (svid) {
      workload.keyType = keyTypeOf(parseCertificate(svid.chain[0] ?? new Uint8Array()).spki)
      workload.recovered(svid, this.#bundles)
      this.#schedule(workload, { receivedAtMs: now, expiresAtMs: now + leftMs(undefined, svid.notAfter, broker.now()) })
    } else {
      const reason = 'the volume was found empty; a new SVID is asked for'
      workload.identity.stop(new IdentityError('broker_unavailable', reason))
      this.#schedule(workload, { receivedAtMs: now, expiresAtMs: now })
    }
  }

  /**
   * The token of a republish. Never fails: kubelet would only back off, and the next token would come later.
   *
   * @param pod whose it is, where that may not have been known before.
   */
  refreshToken(id: string, token: string, pod?: PodRef): void {
    const workload = this.#held.get(id)
    if (!workload) return
    workload.token = token
    if (pod) workload.pod = pod
    this.#dependencies.renewals.tokenCame(id)
  }

  /** Replaces the SVID of a workload. Rejects with the broker's refusal. */
  async renew(id: string, urgency: Urgency, signal: AbortSignal): Promise<Renewal> {
    const workload = this.#held.get(id)
    if (!workload || workload.removal.signal.aborted) return 'gone'
    if (workload.token === undefined) return 'noToken'
    try {
      await this.#renewFor(workload, urgency, AbortSignal.any([signal, workload.removal.signal]))
      return 'renewed'
    } catch (error) {
      if (workload.removal.signal.aborted) return 'gone'
      workload.lastFailure = error
      // AW-15: an identity that is denied is gone at once; any other refusal may be a mistake in a template, and what
      // the workload holds stays good until it ends.
      if (error instanceof IdentityError && error.code === 'identity_denied') workload.identity.stop(error)
      throw error
    }
  }

  async #renewFor(workload: HeldWorkload, urgency: Urgency, signal: AbortSignal): Promise<void> {
    this.#schedule(workload, await this.#issuances.renew(workload, urgency, signal))
  }

  /** The SVID of a workload has ended without a renewal: its streams say so, and why (design §10). */
  expired(id: string): void {
    const workload = this.#held.get(id)
    if (!workload) return
    const reason = isDenial(workload.lastFailure)
      ? (workload.lastFailure as IdentityError)
      : new IdentityError('identity_expired', 'the SVID has expired and could not be renewed yet', {
          cause: workload.lastFailure,
        })
    workload.identity.stop(reason)
  }

  /**
   * Brings every workload up to `bundles`; resolves once all files and streams carry them. What no longer leads to them
   * is renewed at once.
   */
  async enforce(bundles: Bundles, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (!sameBundles(this.#bundles, bundles)) this.#bundles = bundles
    const workloads = [...this.#held.values()]
    const lost = workloads.filter(({ svid }) => svid && this.#issuances.isDisowned(svid))
    this.#dependencies.renewals.hasten(lost.map(({ id }) => id))
    const { clock, random, heldUp: told } = this.#dependencies
    const heldUp = ({ id, pod }: HeldWorkload, error: unknown) => told?.(id, pod, error)
    await enforceEverywhere(workloads, () => this.#bundles, { clock, random, heldUp }, signal)
  }

  /**
   * Renews every SVID that one of these authorities signed, named by subject key identifier in hex; resolves once none is
   * held any more, nor on its way: what was asked for before the order may still have been signed by one of them.
   */
  async renewSignedBy(authorityKeyIds: ReadonlySet<string>, signal: AbortSignal): Promise<void> {
    this.#issuances.taint(authorityKeyIds)
    const haveCome = this.#issuances.underWay()
    const hastened = new Set<SvidMaterial>()
    for (;;) {
      const signed = [...this.#held.values()].filter(({ svid }) => svid && authorityKeyIds.has(authorityOf(svid)))
      if (signed.length === 0 && haveCome()) return
      // Each SVID once, or the order would run over the back-off; one that came of it by the same authority, again.
      const fresh = signed.filter(({ svid }) => svid && !hastened.has(svid))
      for (const { svid } of fresh) if (svid) hastened.add(svid)
      this.#dependencies.renewals.hasten(fresh.map(({ id }) => id))
      await this.#dependencies.clock.sleep(LOOK_AGAIN_MS, signal)
    }
  }

  /** The pod is gone: streams end, files are wiped. The broker is told later, and not waited for. */
  async remove(id: string): Promise<void> {
    const workload = this.#held.get(id)
    if (!workload) return
    const gone = new IdentityError('workload_unknown', 'the pod is gone')
    workload.removal.abort(gone)
    workload.identity.stop(gone)
    const { renewals, endpoint, broker } = this.#dependencies
    renewals.forget(id)
    await this.#flights.get(id)?.catch(() => {})
    await endpoint.release(id)
    await workload.idle()
    await workload.delivery.remove()
    if (this.#held.get(id) === workload) this.#held.delete(id)
    if (workload.serialNumbers.length > 0) broker.ended(workload.serialNumbers)
  }

  /** The agent stops: every stream ends with Unavailable (invariant 7), sockets close, files stay. */
  async close(): Promise<void> {
    this.#closed = new IdentityError('shutting_down', 'the agent is stopping; connect again')
    for (const { identity } of this.#held.values()) identity.stop(this.#closed)
    for (const [id, workload] of this.#held) {
      this.#dependencies.renewals.forget(id)
      // A workload that has no identity yet is given up: kubelet asks again when the agent is back.
      if (this.#flights.has(id)) workload.removal.abort(this.#closed)
    }
    await Promise.allSettled(this.#flights.values())
    await this.#dependencies.endpoint.stop()
    await Promise.allSettled(Array.from(this.#held.values(), ({ delivery }) => delivery.close()))
  }

  #listen(workload: HeldWorkload): Promise<void> {
    return workload.delivery.listen((connection) => this.#dependencies.endpoint.accept(workload.id, connection))
  }

  #schedule(workload: HeldWorkload, lifetime: Lifetime): void {
    workload.expiresAtMs = lifetime.expiresAtMs
    if (workload.removal.signal.aborted) return
    const { renewals } = this.#dependencies
    renewals.held(workload.id, lifetime)
    // Its authority was withdrawn or tainted while it was written; whoever hastened others did not know of it yet.
    if (workload.svid && this.#issuances.isDisowned(workload.svid)) renewals.hasten([workload.id])
  }
}
