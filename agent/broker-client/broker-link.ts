import { backoffMs } from '../../core/runtime/backoff.ts'
import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { Random } from '../../core/runtime/random.ts'
import type { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import type { SyncResponse } from '../../proto/gen/countersign/node/v1/node_pb.ts'
import type { BrokerPort } from '../workloads/ports.ts'
import type { Bundles } from '../workloads/workload.ts'
import type { AgentIdentity } from './attest-node.ts'
import { type BrokerChannel, openBrokerChannel, withFailure } from './broker-channel.ts'
import { bundlesOf } from './bundle-message.ts'
import { Enforcement } from './enforcement.ts'
import { HeldTrust, type Trust } from './held-trust.ts'
import { OwnSvid } from './own-svid.ts'
import { Returns } from './returns.ts'
import { SvidIssuer } from './svid-issuer.ts'
import { SyncSession } from './sync-session.ts'

/** What the broker's word is carried out by. */
export interface LinkTarget {
  /** Resolves once every file and stream of the node carries the bundles, and they are saved. */
  enforce(bundles: Bundles, signal: AbortSignal): Promise<void>
  /** Renews what these authorities signed; resolves once nothing is held that they signed. */
  renewSignedBy(authorityKeyIds: ReadonlySet<string>, signal: AbortSignal): Promise<void>
  serialNumbers(): readonly string[]
}

/** What is told for metrics, readiness and the log. */
export interface LinkObserver {
  connected(): void
  /** Something failed; `isConnected` tells whether an earlier connection still stands. */
  failed(error: unknown, isConnected: boolean): void
  attested(identity: AgentIdentity): void
  enforced(sequence: bigint): void
  skew(milliseconds: number): void
}

export interface LinkConfig {
  readonly trustDomain: TrustDomain
  readonly address: string
  readonly nodeName: string | undefined
  /** The agent's own projected token; read again for each attestation. */
  readonly tokenFile: string
  readonly agentVersion: string
}

interface Dependencies {
  readonly target: LinkTarget
  readonly observer: LinkObserver
  /** What to trust after a failure: the bootstrap file may have become newer than what is held. */
  readonly reloadTrust: (held: Trust) => Promise<Bundles>
  readonly clock: Clock
  readonly random: Random
}

const RETRY = { firstMs: 200, maxMs: 5_000 }
/** While a pod waits for its first SVID: it is to be served the moment the broker is back (design §10). */
const RETRY_AWAITED = { firstMs: 200, maxMs: 1_000 }
/** What is waiting to be told of pods that are gone; the Hello of the next stream tells the same in another way. */
const MAX_ENDED = 10_000

/**
 * The agent's connection to the broker, kept for as long as the agent runs: attest, connect, follow Sync, renew the own
 * SVID, with a new connection before the old one ends; and again after whatever goes wrong, with a jittered back-off.
 */
export class BrokerLink implements BrokerPort {
  readonly #config: LinkConfig
  readonly #dependencies: Dependencies
  readonly #stopping = new AbortController()
  readonly #returns = new Returns()
  readonly #issuer: SvidIssuer
  readonly #enforcement: Enforcement
  readonly #trust: HeldTrust
  readonly #own: OwnSvid
  #enforcedSequence = 0n
  #session: SyncSession | undefined
  #untold: string[] = []
  #skewMs = 0
  #loop: Promise<void> | undefined

  constructor(config: LinkConfig, trust: Trust, dependencies: Dependencies) {
    this.#config = config
    this.#dependencies = dependencies
    const { clock, target, observer } = dependencies
    this.#trust = new HeldTrust(config.trustDomain, trust, dependencies.reloadTrust)
    this.#own = new OwnSvid(config, {
      trust: this.#trust,
      clock,
      isConnected: () => this.isConnected,
      attested: (identity) => observer.attested(identity),
      measured: (skew) => this.#measured(skew),
      failed: (error) => observer.failed(error, false),
    })
    this.#issuer = new SvidIssuer({ channel: () => this.#channel(), clock, measured: (skew) => this.#measured(skew) })
    this.#enforcement = new Enforcement({
      enforce: (bundles, signal) => target.enforce(bundles, signal),
      enforced: ({ own }) => {
        this.#enforcedSequence = own.sequence
        observer.enforced(own.sequence)
      },
      failed: (error) => observer.failed(error, this.isConnected),
      pause: (failures, signal) => clock.sleep(backoffMs(failures, RETRY, dependencies.random), signal).catch(() => {}),
      signal: this.#stopping.signal,
    })
  }

  get isConnected(): boolean {
    return this.#session !== undefined
  }

  /** How long the agent's own SVID has left, in milliseconds; undefined before the first. */
  get ownLeftMs(): number | undefined {
    return this.#own.leftMs
  }

  start(): void {
    this.#loop ??= this.#run()
  }

  async stop(): Promise<void> {
    const reason = new IdentityError('shutting_down', 'the agent is stopping')
    this.#stopping.abort(reason)
    this.#session?.close(reason)
    this.#session = undefined
    await this.#loop
  }

  readonly issue: BrokerPort['issue'] = (request, signal) => this.#issuer.issue(request, signal)

  returned(signal: AbortSignal): Promise<void> {
    return this.#returns.next(signal)
  }

  now(): Date {
    return new Date(this.#dependencies.clock.now().getTime() + this.#skewMs)
  }

  ended(serialNumbers: readonly string[]): void {
    if (this.#session) this.#session.tellEnded(serialNumbers)
    else this.#untold = [...this.#untold, ...serialNumbers].slice(-MAX_ENDED)
  }

  async #run(): Promise<void> {
    const { clock, random, observer } = this.#dependencies
    const { signal } = this.#stopping
    let failures = 0
    while (!signal.aborted) {
      try {
        const identity = await this.#own.current(signal)
        const session = await this.#open(identity)
        if (signal.aborted) return session.close(signal.reason as Error)
        this.#take(session)
        failures = 0
        await this.#untilItEnds(session, identity)
      } catch (error) {
        if (signal.aborted) return
        failures += 1
        observer.failed(error, this.isConnected)
        const bounds = this.#returns.isAwaited ? RETRY_AWAITED : RETRY
        const retryAfterMs = error instanceof IdentityError ? error.retryAfterMs : undefined
        await clock.sleep(backoffMs(failures, bounds, random, retryAfterMs), signal).catch(() => {})
        // Right before the next attempt: what is on disk may have changed during the wait.
        this.#own.learnFrom(error)
        await this.#trust.learnFrom(error)
      }
    }
  }

  async #open({ svid }: AgentIdentity): Promise<SyncSession> {
    const { clock, target } = this.#dependencies
    const { address, agentVersion } = this.#config
    const channel = openBrokerChannel({ address, bundle: () => this.#trust.own, clock, svid })
    const hello = { agentVersion, bundleSequence: this.#enforcedSequence, heldSerialNumbers: target.serialNumbers() }
    try {
      return await SyncSession.open({ channel, hello, received: (...revision) => this.#received(...revision), clock })
    } catch (error) {
      throw withFailure(error, channel)
    }
  }

  /** The new connection stands before the old one ends. */
  #take(session: SyncSession): void {
    const before = this.#session
    this.#session = session
    session.ended.catch(() => {
      if (this.#session === session) this.#session = undefined
    })
    before?.close(new IdentityError('broker_unavailable', 'a new connection has taken the place of this one'))
    session.tellEnded(this.#untold.splice(0))
    if (!before) {
      this.#dependencies.observer.connected()
      this.#returns.announce()
    }
  }

  /** Resolves when the own SVID is to be renewed, rejects when the stream ends. */
  async #untilItEnds(session: SyncSession, identity: AgentIdentity): Promise<void> {
    const over = new AbortController()
    try {
      await Promise.race([
        session.ended,
        this.#own.due(identity, AbortSignal.any([over.signal, this.#stopping.signal])),
      ])
    } finally {
      over.abort()
    }
  }

  #received({ state }: SyncResponse, acknowledge: () => void): void {
    if (state.case === 'bundles') {
      const bundles = bundlesOf(state.value, this.#config.trustDomain)
      if (this.#trust.receive(bundles)) this.#enforcement.put({ bundles, acknowledge })
    }
    if (state.case === 'renewal') void this.#renewSignedBy(new Set(state.value.authorityKeyIds), acknowledge)
  }

  async #renewSignedBy(authorityKeyIds: ReadonlySet<string>, acknowledge: () => void): Promise<void> {
    this.#own.hurryIfSignedBy(authorityKeyIds)
    try {
      await this.#dependencies.target.renewSignedBy(authorityKeyIds, this.#stopping.signal)
      acknowledge()
    } catch (error) {
      if (!this.#stopping.signal.aborted) this.#dependencies.observer.failed(error, this.isConnected)
    }
  }

  #measured(skew: number): void {
    this.#skewMs = skew
    this.#dependencies.observer.skew(skew)
  }

  #channel(): BrokerChannel {
    if (!this.#session) throw new IdentityError('broker_unavailable', 'there is no connection to the broker')
    return this.#session.channel
  }
}
