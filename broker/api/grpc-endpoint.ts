import type { DescService } from '@bufbuild/protobuf'
import { Server } from '@grpc/grpc-js'
import type { TLSSocket } from 'node:tls'
import type { Clock } from '../../core/runtime/clock.ts'
import { addService, type EndedCall, type Handlers } from '../../proto/grpc-server.ts'
import { InjectedConnections } from '../../proto/injected-connection.ts'
import { type FloodLimits, FloodWatch, type Wire } from './flood-watch.ts'

export interface EndpointLimits {
  /** Largest message taken. */
  readonly maxMessageBytes: number
  /** Calls at the same time on one connection: each may hold an unfinished message. */
  readonly maxStreams: number
  /** What HTTP/2 may hold for one connection, in millions of bytes. grpc-js by itself sets no limit. */
  readonly sessionMegabytes: number
  /** What one connection may bring in all; where there is no limit, nobody looks. */
  readonly flood?: FloodLimits
}

/** A full batch of usual tokens and requests is below 200 KiB; an agent has one stream and four calls at a time. */
export const FOR_AGENTS: EndpointLimits = { maxMessageBytes: 1024 * 1024, maxStreams: 8, sessionMegabytes: 16 }
/** Questions are short; a token is the longest part of them. */
export const FOR_OPERATORS: EndpointLimits = {
  maxMessageBytes: 64 * 1024,
  maxStreams: 16,
  sessionMegabytes: 4,
  // One of them may ask 20 times a second, with a token of 1 to 4 KiB each time.
  flood: { bytes: { burst: 1024 * 1024, perSecond: 128 * 1024 }, streams: { burst: 256, perSecond: 50 } },
}
/**
 * Who has no certificate yet has one thing to say: a token and a request for a certificate, of 16 KiB each at most. But an
 * agent whose certificate is not believed any more is a stranger too, and may have sent all its batches, of 50 pods each,
 * before it hears of that.
 */
export const FOR_STRANGERS: EndpointLimits = {
  maxMessageBytes: 40 * 1024,
  maxStreams: 2,
  sessionMegabytes: 1,
  flood: { bytes: { burst: 1024 * 1024, perSecond: 64 * 1024 }, streams: { burst: 32, perSecond: 2 } },
}

interface Dependencies<S extends DescService> {
  readonly service: S
  readonly handlers: Handlers<S>
  readonly ended: (call: EndedCall) => void
  readonly clock: Clock
}

const KEEPALIVE_MS = 60_000
const KEEPALIVE_TIMEOUT_MS = 20_000

/** A gRPC server without a listener: connections are handed to it once they are judged. */
export class GrpcEndpoint<S extends DescService> {
  readonly #server: Server
  readonly #injected: InjectedConnections
  readonly #floods: FloodWatch | undefined
  #open = 0
  #onIdle: () => void = () => {}

  constructor({ service, handlers, ended, clock }: Dependencies<S>, limits: EndpointLimits) {
    this.#server = new Server({
      'grpc.max_receive_message_length': limits.maxMessageBytes,
      'grpc.max_concurrent_streams': limits.maxStreams,
      'grpc-node.max_session_memory': limits.sessionMegabytes,
      // Finds agents that are gone without a word, so that they do not count as connected.
      'grpc.keepalive_time_ms': KEEPALIVE_MS,
      'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
      'grpc.enable_channelz': 0,
    })
    addService(this.#server, service, handlers, ended)
    this.#injected = new InjectedConnections(this.#server, clock, { service, maxMessageBytes: limits.maxMessageBytes })
    this.#floods = limits.flood && new FloodWatch(clock, limits.flood)
  }

  inject(socket: TLSSocket, wire: Wire): void {
    this.#open += 1
    socket.once('close', () => {
      this.#open -= 1
      if (this.#open === 0) this.#onIdle()
    })
    const session = this.#injected.inject(socket)
    this.#floods?.watch(socket, wire, session)
  }

  /** Takes no new calls, lets those that are running end for `graceMs`, and then ends what is left. */
  async shutdown(graceMs: number, clock: Clock): Promise<void> {
    const idle = new Promise<void>((resolve) => (this.#onIdle = resolve))
    // Its own callback comes at once, whatever is still running: connections close when their last call has ended.
    this.#server.tryShutdown(() => {})
    const done = new AbortController()
    if (this.#open > 0) await Promise.race([idle, clock.sleep(graceMs, done.signal).catch(() => {})])
    done.abort()
    this.#injected.destroy()
    this.#server.forceShutdown()
  }
}
