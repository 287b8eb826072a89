import type { Socket } from 'node:net'
import { Server } from '@grpc/grpc-js'
import type { Clock } from '../../core/runtime/clock.ts'
import { TokenBuckets } from '../../core/runtime/token-bucket.ts'
import { SpiffeWorkloadAPI } from '../../proto/gen/third_party/spiffe/workload_pb.ts'
import { addService, type EndedCall } from '../../proto/grpc-server.ts'
import { InjectedConnections } from '../../proto/injected-connection.ts'
import { nameConnection } from '../../proto/named-connection.ts'
import type { Latest } from '../workloads/latest.ts'
import type { EndpointPort } from '../workloads/ports.ts'
import type { Delivered } from '../workloads/workload.ts'
import type { ConnectionLimit, Refused } from './connection-limit.ts'
import { type OpenConnection, OpenConnections } from './open-connections.ts'
import { ReadBounds } from './read-bounds.ts'
import { StreamBounds } from './stream-bounds.ts'
import { workloadApiService } from './workload-api-service.ts'
import { peerOf } from './workload-peer.ts'

interface Options {
  readonly identityOf: (id: string) => Latest<Delivered> | undefined
  /** Who answers for a workload's connections and streams. */
  readonly ownerOf: (id: string) => string
  readonly clock: Clock
  readonly ended?: (call: EndedCall) => void
  readonly refused?: Refused
}

/** Time for the last words of streams to be read before their connection goes. */
const LAST_WORDS_MS = 500
const LOOK_AGAIN_MS = 5
/**
 * From a handler's error to its status on the socket: grpc-js ends its stream, HTTP/2 asks for the trailers, writes them.
 * Each step takes a turn of the event loop, some two; however busy the machine is, these are enough.
 */
const TURNS = 16

/** Requests are all but empty. */
const MAX_REQUEST_BYTES = 4 * 1024

/** AW-25: no age or idleness ends a connection; there is no such option here. */
const SERVER_OPTIONS = {
  'grpc.max_concurrent_streams': 64,
  'grpc.max_receive_message_length': MAX_REQUEST_BYTES,
  // In megabytes, for each connection; grpc-js alone would set no limit.
  'grpc-node.max_session_memory': 10,
  // Nobody asks for it, and it keeps a record of every connection.
  'grpc.enable_channelz': 0,
}

/** Connections of one pod; each costs an HTTP/2 session, and a process needs one. */
const RATE = { burst: 256, perSecond: 20 }

/** One gRPC server for the sockets of all pods; each connection bears the name of the workload whose socket it came on. */
export class WorkloadEndpoint implements EndpointPort {
  readonly #identityOf: Options['identityOf']
  readonly #ownerOf: Options['ownerOf']
  readonly #clock: Clock
  readonly #server = new Server(SERVER_OPTIONS)
  readonly #injected: InjectedConnections
  readonly #connections: OpenConnections
  readonly #streams: StreamBounds
  readonly #reads: ReadBounds
  readonly #rates: TokenBuckets
  readonly #refused: Refused

  constructor({ identityOf, ownerOf, clock, ended, refused = () => {} }: Options) {
    this.#identityOf = identityOf
    this.#ownerOf = ownerOf
    this.#clock = clock
    this.#injected = new InjectedConnections(this.#server, clock, {
      service: SpiffeWorkloadAPI,
      maxMessageBytes: MAX_REQUEST_BYTES,
    })
    this.#connections = new OpenConnections(refused)
    this.#streams = new StreamBounds(clock, refused)
    this.#refused = refused
    this.#reads = new ReadBounds(clock, refused)
    this.#rates = new TokenBuckets(clock, RATE)
    addService(this.#server, SpiffeWorkloadAPI, workloadApiService({ identityOf, clock }), ended)
  }

  get connectionCount(): number {
    return this.#connections.count
  }

  accept(id: string, socket: Socket): void {
    socket.on('error', () => {})
    const owner = this.#ownerOf(id)
    const connection = this.#take(id, owner, socket)
    if (typeof connection === 'string') {
      socket.destroy()
      this.#refused(id, connection)
      return
    }
    this.#reads.watch(connection)
    nameConnection(socket, peerOf(id))
    const session = this.#injected.inject(socket)
    if (session) this.#streams.watch(connection, session)
  }

  /** The connection, or the limit that its owner is at. */
  #take(id: string, owner: string, socket: Socket): OpenConnection | ConnectionLimit {
    if (this.#reads.owes(owner)) return 'bytes'
    if (this.#rates.take(owner) > 0) return 'rate'
    return this.#connections.take(id, owner, socket)
  }

  async release(id: string): Promise<void> {
    if (this.#connections.of(id).length > 0) await this.#lastWords(id)
    for (const { socket } of this.#connections.of(id)) socket.destroySoon()
  }

  /** The streams must have been ended before; what then still runs is cut off. */
  async stop(): Promise<void> {
    const ids = new Set(this.#connections.all().map(({ id }) => id))
    await Promise.all(Array.from(ids, (id) => this.#lastWords(id)))
    const late = new AbortController()
    // GOAWAY, then each connection closes when the last of its streams has.
    const graceful = new Promise<void>((resolve) => this.#server.tryShutdown(() => resolve()))
    await Promise.race([graceful, this.#clock.sleep(LAST_WORDS_MS, late.signal).catch(() => {})])
    late.abort()
    this.#server.forceShutdown()
    this.#streams.stop()
    for (const { socket } of this.#connections.all()) socket.destroySoon()
  }

  /** Waits until nobody follows any more and the ends of their streams are on their way. */
  async #lastWords(id: string): Promise<void> {
    const end = this.#clock.monotonicMs() + LAST_WORDS_MS
    while ((this.#identityOf(id)?.followers ?? 0) > 0 && this.#clock.monotonicMs() < end)
      await this.#clock.sleep(LOOK_AGAIN_MS)
    for (let turn = 0; turn < TURNS; turn += 1) await new Promise((resume) => setImmediate(resume))
  }
}
