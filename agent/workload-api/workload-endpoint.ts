import type { Socket } from 'node:net'
import { Server, ServerCredentials } from '@grpc/grpc-js'
import type { Clock } from '../../core/runtime/clock.ts'
import { SpiffeWorkloadAPI } from '../../proto/gen/third_party/spiffe/workload_pb.ts'
import { addService, type EndedCall } from '../../proto/grpc-server.ts'
import { nameConnection } from '../../proto/named-connection.ts'
import type { Latest } from '../workloads/latest.ts'
import type { EndpointPort } from '../workloads/ports.ts'
import type { Delivered } from '../workloads/workload.ts'
import { workloadApiService } from './workload-api-service.ts'

interface Options {
  readonly identityOf: (id: string) => Latest<Delivered> | undefined
  readonly clock: Clock
  readonly ended?: (call: EndedCall) => void
}

/** Connections of one workload at a time: a pod may only use up what is its own. */
const MAX_CONNECTIONS = 64
/** Time for the last words of streams to be read before their connection goes. */
const LAST_WORDS_MS = 500
const LOOK_AGAIN_MS = 5
/**
 * From a handler's error to its status on the socket: grpc-js ends its stream, HTTP/2 asks for the trailers, writes them.
 * Each step takes a turn of the event loop, some two; however busy the machine is, these are enough.
 */
const TURNS = 16

/** AW-25: no age or idleness ends a connection; there is no such option here. */
const SERVER_OPTIONS = {
  'grpc.max_concurrent_streams': 128,
  // Requests are all but empty.
  'grpc.max_receive_message_length': 64 * 1024,
}

/** One gRPC server for the sockets of all pods; each connection bears the name of the workload whose socket it came on. */
export class WorkloadEndpoint implements EndpointPort {
  readonly #identityOf: Options['identityOf']
  readonly #clock: Clock
  readonly #server = new Server(SERVER_OPTIONS)
  readonly #injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure())
  readonly #connections = new Map<string, Set<Socket>>()

  constructor({ identityOf, clock, ended }: Options) {
    this.#identityOf = identityOf
    this.#clock = clock
    addService(this.#server, SpiffeWorkloadAPI, workloadApiService({ identityOf }), ended)
  }

  get connectionCount(): number {
    return Array.from(this.#connections.values()).reduce((sum, { size }) => sum + size, 0)
  }

  accept(id: string, connection: Socket): void {
    const connections = this.#connections.get(id) ?? new Set()
    if (connections.size >= MAX_CONNECTIONS) {
      connection.destroy()
      return
    }
    this.#connections.set(id, connections.add(connection))
    connection.once('close', () => {
      connections.delete(connection)
      if (connections.size === 0 && this.#connections.get(id) === connections) this.#connections.delete(id)
    })
    connection.on('error', () => {})
    nameConnection(connection, id)
    this.#injector.injectConnection(connection)
  }

  async release(id: string): Promise<void> {
    if (this.#connections.has(id)) await this.#lastWords(id)
    for (const connection of this.#connections.get(id) ?? []) connection.destroySoon()
  }

  /** The streams must have been ended before; what then still runs is cut off. */
  async stop(): Promise<void> {
    await Promise.all(Array.from(this.#connections.keys(), (id) => this.#lastWords(id)))
    const late = new AbortController()
    // GOAWAY, then each connection closes when the last of its streams has.
    const graceful = new Promise<void>((resolve) => this.#server.tryShutdown(() => resolve()))
    await Promise.race([graceful, this.#clock.sleep(LAST_WORDS_MS, late.signal).catch(() => {})])
    late.abort()
    this.#server.forceShutdown()
    for (const connections of this.#connections.values()) {
      for (const connection of connections) connection.destroySoon()
    }
  }

  /** Waits until nobody follows any more and the ends of their streams are on their way. */
  async #lastWords(id: string): Promise<void> {
    const end = this.#clock.monotonicMs() + LAST_WORDS_MS
    while ((this.#identityOf(id)?.followers ?? 0) > 0 && this.#clock.monotonicMs() < end)
      await this.#clock.sleep(LOOK_AGAIN_MS)
    for (let turn = 0; turn < TURNS; turn += 1) await new Promise((resume) => setImmediate(resume))
  }
}
