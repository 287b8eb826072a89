import { timestampFromDate } from '@bufbuild/protobuf/wkt'
import type { MessageInitShape } from '@bufbuild/protobuf'
import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { type RevisionKind, SyncResponseSchema } from '../../proto/gen/countersign/node/v1/node_pb.ts'
import { Encoded } from '../../proto/grpc-method.ts'
import { Acknowledgements } from './acknowledgements.ts'
import { Expiries } from './expiries.ts'
import { LatestStates } from './latest-states.ts'

/** The complete state of one kind. */
export interface Revision {
  readonly kind: RevisionKind
  readonly revision: bigint
  readonly state: NonNullable<MessageInitShape<typeof SyncResponseSchema>['state']>
}

type EncodedResponse = Encoded<typeof SyncResponseSchema>

/** A node keeps one stream; while it replaces it, two. What is beyond that is dead, or not an agent's program. */
const MAX_STREAMS_PER_NODE = 4
/** A message that is older than this is encoded anew, so that agents measure their clocks against a fresh time. */
const FRESH_MS = 1_000

/** Who has a stream open. */
export interface SyncPeer {
  readonly nodeName: string
  /** The end of the agent's certificate: the stream ends there. */
  readonly notAfter: Date
  /** What it has said of itself as the stream began, for operators; nothing is decided by it. */
  readonly says?: { readonly version: string; readonly skewMs: number | undefined } | undefined
}

/** A node whose agent has a stream open, as its newest stream has it. */
export interface ConnectedAgent extends SyncPeer {
  /** Since when there was always one. */
  readonly since: Date
}

interface Stream {
  readonly nodeName: string
  readonly pending: LatestStates<RevisionKind, EncodedResponse>
}

interface Current {
  readonly revision: Revision
  encoded: EncodedResponse
  encodedAt: number
}

/**
 * Keeps agents in step (design §5): each kind of revision has one current state, encoded once for all streams, and each
 * node is remembered with what it has enforced.
 */
export class SyncHub {
  readonly #clock: Clock
  readonly #streams = new Set<Stream>()
  /** By the wall clock, which may jump while a stream is open. */
  readonly #ends: Expiries<Stream>
  /** The connected nodes, and the streams of each, the oldest first. */
  readonly #nodes = new Map<string, { readonly streams: Set<Stream>; agent: ConnectedAgent }>()
  readonly #current = new Map<RevisionKind, Current>()
  readonly #acknowledgements = new Map<RevisionKind, Acknowledgements>()
  #stopped: IdentityError | undefined

  constructor(clock: Clock) {
    this.#clock = clock
    this.#ends = new Expiries({
      clock,
      nowMs: () => clock.now().getTime(),
      expire: ({ pending }) =>
        pending.end(
          new IdentityError('agent_certificate_expired', "the agent's SVID has expired; attest the node again"),
        ),
    })
  }

  /** Makes `revision` the state of its kind, and sends it to everybody. */
  publish(revision: Revision): void {
    const encoded = this.#encode(revision)
    this.#current.set(revision.kind, { revision, encoded, encodedAt: this.#clock.monotonicMs() })
    for (const { pending } of this.#streams) pending.put(revision.kind, encoded)
  }

  acknowledge(nodeName: string, kind: RevisionKind, revision: bigint): void {
    const published = this.#current.get(kind)?.revision.revision
    // A node cannot have enforced what was never sent; believing it would open the gate of a later rotation. Nor is a kind
    // remembered that only the node knows: there are as many as numbers.
    if (published === undefined || revision > published) return
    let acknowledgements = this.#acknowledgements.get(kind)
    if (!acknowledgements) this.#acknowledgements.set(kind, (acknowledgements = new Acknowledgements()))
    acknowledgements.acknowledge(nodeName, revision)
  }

  /** What the node has acknowledged was not this one's, but that of another by its name. */
  forget(nodeName: string): void {
    for (const acknowledgements of this.#acknowledgements.values()) acknowledgements.forget(nodeName)
  }

  /** Of the nodes that are connected and of `others`, those that have not enforced `revision`. */
  unacknowledged(kind: RevisionKind, revision: bigint, others: Iterable<string>): string[] {
    const nodes = [...others, ...this.#nodes.keys()]
    return (this.#acknowledgements.get(kind) ?? new Acknowledgements()).missing(nodes, revision)
  }

  get connectedNodes(): number {
    return this.#nodes.size
  }

  /** The connected nodes' agents, by node. */
  agents(): ReadonlyMap<string, ConnectedAgent> {
    return new Map(Array.from(this.#nodes, ([nodeName, { agent }]) => [nodeName, agent]))
  }

  /** The newest revision that the node is known to have enforced; 0 without one. */
  enforced(kind: RevisionKind, nodeName: string): bigint {
    return this.#acknowledgements.get(kind)?.of(nodeName) ?? 0n
  }

  get streams(): number {
    return this.#streams.size
  }

  /**
   * The states of all kinds, then each as it changes.
   *
   * @param ended settles when the agent has nothing more to say, which ends the stream, or with what was wrong.
   * @throws `IdentityError` `shutting_down`, `agent_certificate_expired`; `overloaded` where newer ones of its node took
   *   its place; the reason of `signal`.
   */
  async *open(
    { nodeName, notAfter, says }: SyncPeer,
    signal: AbortSignal,
    ended?: Promise<void>,
  ): AsyncGenerator<EncodedResponse> {
    if (this.#stopped) throw this.#stopped
    // The listener below hears of it only if it is yet to come.
    signal.throwIfAborted()
    const pending = new LatestStates<RevisionKind, EncodedResponse>()
    const stream: Stream = { nodeName, pending }
    this.#makeRoom(nodeName)
    const node = this.#nodes.get(nodeName)
    this.#streams.add(stream)
    const agent = { nodeName, notAfter, says, since: node?.agent.since ?? this.#clock.now() }
    this.#nodes.set(nodeName, { streams: (node?.streams ?? new Set()).add(stream), agent })
    this.#ends.add(stream, notAfter.getTime())
    const abort = () => pending.end(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    ended?.then(
      () => pending.end(),
      (error: unknown) => pending.end(error),
    )
    for (const [kind, current] of this.#current) pending.put(kind, this.#fresh(current))
    try {
      yield* pending
    } finally {
      this.#remove(stream)
      signal.removeEventListener('abort', abort)
    }
  }

  /** Ends all streams with `shutting_down`, which is Unavailable (invariant 7), and lets no new one begin. */
  stop(): void {
    this.#stopped ??= new IdentityError('shutting_down', 'the broker is stopping; connect again', { retryAfterMs: 100 })
    for (const { pending } of this.#streams) pending.end(this.#stopped)
  }

  /**
   * At the limit the oldest goes: an agent must always be able to come back, whatever became of its streams. It no longer
   * counts from then on, for nobody may be there to hear of its end.
   */
  #makeRoom(nodeName: string): void {
    const { streams } = this.#nodes.get(nodeName) ?? {}
    const [oldest] = streams ?? []
    if (!streams || !oldest || streams.size < MAX_STREAMS_PER_NODE) return
    this.#remove(oldest)
    const reason = `a node keeps at most ${MAX_STREAMS_PER_NODE} streams open, and newer ones have come`
    oldest.pending.end(new IdentityError('overloaded', reason, { retryAfterMs: 5000 }))
  }

  #remove(stream: Stream): void {
    this.#streams.delete(stream)
    this.#ends.delete(stream)
    const node = this.#nodes.get(stream.nodeName)
    if (node?.streams.delete(stream) && node.streams.size === 0) this.#nodes.delete(stream.nodeName)
  }

  #fresh(current: Current): EncodedResponse {
    const now = this.#clock.monotonicMs()
    if (now - current.encodedAt > FRESH_MS) {
      current.encoded = this.#encode(current.revision)
      current.encodedAt = now
    }
    return current.encoded
  }

  #encode({ kind, revision, state }: Revision): EncodedResponse {
    const serverTime = timestampFromDate(this.#clock.now())
    return Encoded.of(SyncResponseSchema, { kind, revision, state, serverTime })
  }
}
