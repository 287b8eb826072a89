import { type Server, ServerCredentials } from '@grpc/grpc-js'
import type { EventEmitter } from 'node:events'
import type { ServerHttp2Session } from 'node:http2'
import type { Duplex } from 'node:stream'
import type { Clock } from '../core/runtime/clock.ts'
import { boundMessages, type MessageBounds } from './bounded-messages.ts'

/** Time for what runs to end once the peer has sent GOAWAY or the session has ended. */
export const LAST_WORDS_MS = 30_000
const LOOK_EVERY_MS = 5_000

/**
 * Hands connections to a grpc-js server, and sees to it that none stays open long once its HTTP/2 session is of no use.
 *
 * After the peer's GOAWAY, HTTP/2 in Node waits for the streams that are open; an error of the protocol then makes it
 * read no more, so that it hears neither their end nor the peer's leaving. It cannot be pinged by then either.
 */
export class InjectedConnections {
  readonly #clock: Clock
  readonly #injector: ReturnType<Server['createConnectionInjector']>
  readonly #http2Server: EventEmitter
  readonly #open = new Map<Duplex, ServerHttp2Session>()
  /** When those that are ending must have ended. */
  readonly #deadlines = new Map<Duplex, number>()
  #looking = new AbortController()

  constructor(server: Server, clock: Clock, bounds: MessageBounds) {
    this.#clock = clock
    // TLS, where there is any, is behind us by then: the socket is handed over as it stands.
    this.#injector = server.createConnectionInjector(ServerCredentials.createInsecure())
    this.#http2Server = http2ServerOf(server)
    boundMessages(this.#http2Server, bounds)
  }

  /** @returns its session, if there is one. */
  inject(connection: Duplex): ServerHttp2Session | undefined {
    if (connection.destroyed) return undefined
    let session: ServerHttp2Session | undefined
    const take = (made: ServerHttp2Session) => (session = made)
    this.#http2Server.once('session', take)
    try {
      this.#injector.injectConnection(connection)
    } finally {
      this.#http2Server.off('session', take)
    }
    if (session === undefined) {
      connection.destroy()
      return undefined
    }
    this.#open.set(connection, session)
    if (this.#open.size === 1) void this.#look()
    connection.once('close', () => {
      this.#open.delete(connection)
      this.#deadlines.delete(connection)
      if (this.#open.size === 0) this.#looking.abort()
    })
    return session
  }

  destroy(): void {
    this.#injector.destroy()
  }

  async #look(): Promise<void> {
    this.#looking = new AbortController()
    const { signal } = this.#looking
    for (;;) {
      try {
        await this.#clock.sleep(LOOK_EVERY_MS, signal)
      } catch {
        return
      }
      for (const [connection, session] of this.#open) this.#endInTime(connection, session)
    }
  }

  #endInTime(connection: Duplex, { closed, destroyed }: ServerHttp2Session): void {
    if (!closed && !destroyed) return
    const now = this.#clock.monotonicMs()
    const deadline = this.#deadlines.get(connection)
    if (deadline === undefined) this.#deadlines.set(connection, now + LAST_WORDS_MS)
    else if (now >= deadline) connection.destroy()
  }
}

/** grpc-js keeps its HTTP/2 servers to itself; docs/adr/0007. */
function http2ServerOf(server: Server): EventEmitter {
  const { http2Servers } = server as unknown as { readonly http2Servers?: Map<EventEmitter, unknown> }
  const newest = [...(http2Servers?.keys() ?? [])].at(-1)
  if (newest === undefined) throw new TypeError('this version of grpc-js keeps its HTTP/2 servers elsewhere')
  return newest
}
