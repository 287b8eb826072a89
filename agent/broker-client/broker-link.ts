import { backoffMs } from '../../core/runtime/backoff.ts'
import type { Clock } from '../../core/runtime/clock.ts'
import { codeOf, IdentityError } from '../../core/runtime/errors.ts'
import type { Random } from '../../core/runtime/random.ts'
import { readSmallFile } from '../../core/runtime/small-file.ts'
import type { X509Bundle } from '../../core/spiffe/bundle.ts'
import type { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import type { SyncResponse } from '../../proto/gen/countersign/node/v1/node_pb.ts'
import { renewalTimeMs } from '../rotation/renewal-time.ts'
import type { BrokerPort } from '../workloads/ports.ts'
import type { Bundles } from '../workloads/workload.ts'
import { type AgentIdentity, attestNode } from './attest-node.ts'
import { type BrokerChannel, openBrokerChannel } from './broker-channel.ts'
import { bundlesOf } from './bundle-message.ts'
import { Enforcement } from './enforcement.ts'
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
  readonly reloadTrust: (held: Bundles) => Promise<Bundles>
  readonly clock: Clock
  readonly random: Random
}

const RETRY = { firstMs: 200, maxMs: 5_000 }
/** While a pod waits for its first SVID: it is to be served the moment the broker is back (design §10). */
const RETRY_AWAITED = { firstMs: 200, maxMs: 1_000 }
const MAX_TOKEN_BYTES = 16 * 1024
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
  #trust: Bundles
  #enforcedSequence = 0n
  #identity: AgentIdentity | undefined
  #session: SyncSession | undefined
  #untold: string[] = []
  #skewMs = 0
  #hurry = new AbortController()
  #loop: Promise<void> | undefined

  constructor(config: LinkConfig, trust: Bundles, dependencies: Dependencies) {
    this.#config = config
    this.#trust = trust
    this.#dependencies = dependencies
    const { clock, target, observer } = dependencies
    this.#issuer = new SvidIssuer({ channel: () => this.#channel(), clock, measured: (skew) => this.#measured(skew) })
    this.#enforcement = new Enforcement({
      enforce: (bundles, signal) => target.enforce(bundles, signal),
      enforced: ({ own }) => {
        this.#enforcedSequence = own.sequence
        observer.enforced(own.sequence)
      },
      failed: (error) => observer.failed(error, this.isConnected),
      pause: (failures) =>
        clock.sleep(backoffMs(failures, RETRY, dependencies.random), this.#stopping.signal).catch(() => {}),
      signal: this.#stopping.signal,
    })
  }

  get isConnected(): boolean {
    return this.#session !== undefined
  }

  /** How long the agent's own SVID has left, in milliseconds; undefined before the first. */
  get ownLeftMs(): number | undefined {
    return this.#identity && this.#identity.expiresAtMs - this.#dependencies.clock.monotonicMs()
  }

  start(): void {
    this.#loop ??= this.#run()
  }

  async stop(): Promise<void> {
    const reason = new IdentityError('shutting_down', 'the agent is stopping')
    this.#stopping.abort(reason)
    this.#hurry.abort(reason)
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
        const identity = await this.#currentIdentity(signal)
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
        await clock.sleep(backoffMs(failures, bounds, random), signal).catch(() => {})
        // Right before the next attempt: what is on disk may have changed during the wait.
        await this.#learnFrom(error)
      }
    }
  }

  /** The own SVID, a new one when it is time: by attesting again, with the token as its file has it now. */
  async #currentIdentity(signal: AbortSignal): Promise<AgentIdentity> {
    const { clock, observer } = this.#dependencies
    const { address, tokenFile, nodeName } = this.#config
    if (this.#identity && !this.#hurry.signal.aborted && clock.monotonicMs() < this.#renewAtMs(this.#identity))
      return this.#identity
    const token = await readToken(tokenFile)
    const channel = openBrokerChannel({ address, bundle: () => this.#trust.own, clock })
    try {
      const { identity, bundle, skewMs } = await attestNode(channel, { token, nodeName }, clock, signal)
      this.#trustNewer(bundle)
      if (skewMs !== undefined) this.#measured(skewMs)
      this.#identity = identity
      this.#hurry = new AbortController()
      observer.attested(identity)
      return identity
    } catch (error) {
      // What is held is good for another while, if only attestation fails and there is no connection left to wait on.
      const held = this.#identity
      if (!held || this.#session || signal.aborted || held.expiresAtMs <= clock.monotonicMs())
        throw withCause(error, channel.failure())
      observer.failed(withCause(error, channel.failure()), false)
      return held
    } finally {
      channel.close()
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
      throw withCause(error, channel.failure())
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
    const waitMs = Math.max(0, this.#renewAtMs(identity) - this.#dependencies.clock.monotonicMs())
    const due = this.#dependencies.clock
      .sleep(waitMs, AbortSignal.any([over.signal, this.#hurry.signal]))
      .catch(() => {})
    try {
      await Promise.race([session.ended, due])
    } finally {
      over.abort()
    }
  }

  /** The middle of the jitter: the agents' own SVIDs are as many as nodes, and start when nodes do. */
  #renewAtMs(identity: AgentIdentity): number {
    return renewalTimeMs(identity, 0.5)
  }

  #received({ state }: SyncResponse, acknowledge: () => void): void {
    if (state.case === 'bundles') {
      const bundles = bundlesOf(state.value, this.#config.trustDomain)
      // A replica that is behind does not take back what is known already.
      if (bundles.own.sequence < this.#trust.own.sequence) return
      this.#trust = bundles
      this.#enforcement.put({ bundles, acknowledge })
    }
    if (state.case === 'renewal') void this.#renewSignedBy(new Set(state.value.authorityKeyIds), acknowledge)
  }

  async #renewSignedBy(authorityKeyIds: ReadonlySet<string>, acknowledge: () => void): Promise<void> {
    if (this.#identity && authorityKeyIds.has(this.#identity.authorityKeyId)) this.#hurry.abort()
    try {
      await this.#dependencies.target.renewSignedBy(authorityKeyIds, this.#stopping.signal)
      acknowledge()
    } catch (error) {
      if (!this.#stopping.signal.aborted) this.#dependencies.observer.failed(error, this.isConnected)
    }
  }

  #trustNewer(own: X509Bundle): void {
    if (!own.trustDomain.equals(this.#config.trustDomain) || own.authorities.length === 0)
      throw new IdentityError('bundle_invalid', `the broker sent no bundle for ${this.#config.trustDomain}`)
    if (own.sequence >= this.#trust.own.sequence) this.#trust = { ...this.#trust, own }
  }

  /** An SVID that the broker no longer takes is thrown away; a broker that we no longer believe may be in a newer file. */
  async #learnFrom(error: unknown): Promise<void> {
    const code = codeOf(error)
    if (code.startsWith('agent_certificate_')) this.#identity = undefined
    if (code !== 'chain_untrusted' && code !== 'broker_unavailable') return
    this.#trust = await this.#dependencies.reloadTrust(this.#trust).catch(() => this.#trust)
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

/** What gRPC calls unavailable may have a precise reason beneath, such as a broker that is not to be believed. */
function withCause(error: unknown, failure: unknown): unknown {
  return codeOf(error) === 'broker_unavailable' && failure instanceof IdentityError ? failure : error
}

async function readToken(file: string): Promise<string> {
  try {
    const token = (await readSmallFile(file, MAX_TOKEN_BYTES)).trim()
    if (token.length > MAX_TOKEN_BYTES)
      throw new IdentityError('token_too_large', `${file} is no token: it is larger than 16 KiB`)
    return token
  } catch (error) {
    if (error instanceof IdentityError) throw error
    throw new IdentityError(
      'config_invalid',
      `the token file ${file} cannot be read: ${(error as NodeJS.ErrnoException).code}`,
    )
  }
}
