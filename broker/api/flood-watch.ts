import type { ServerHttp2Session } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import type { Clock } from '../../core/runtime/clock.ts'
import { type RateLimits, TokenBucket } from '../../core/runtime/token-bucket.ts'

/** What there is below a connection's TLS. */
export interface Wire {
  /** Octets that were read from the network, whatever TLS made of them. */
  readonly bytesRead: number
  /** Tells that somebody does what no program of ours does: whoever has this address is kept out for a while. */
  readonly flooded: () => void
}

/** What one connection may bring before it ends. */
export interface FloodLimits {
  readonly bytes: RateLimits
  /** Calls, answered or not. */
  readonly streams: RateLimits
}

interface Watched {
  readonly wire: Wire
  readonly session: ServerHttp2Session | undefined
  readonly bytes: TokenBucket
  counted: number
}

export const LOOK_EVERY_MS = 100

/**
 * Ends connections on which more comes than is of use to anybody.
 *
 * A frame that is no stream (WINDOW_UPDATE, PRIORITY, one of an unknown type) and a change of TLS keys (RFC 8446 §4.6.3)
 * are 9 to 27 octets, and dealt with where nobody hears of them, at millions a second; of header fields one octet may stand
 * for 4 KiB (RFC 7541 §6.1), and those of a stream that is refused are read all the same. Only the socket tells, by how much
 * was read from it. To open a stream and reset it is some 30 octets, and so dear that streams are counted apart.
 */
export class FloodWatch {
  readonly #clock: Clock
  readonly #limits: FloodLimits
  readonly #watched = new Map<TLSSocket, Watched>()
  #looking = new AbortController()

  constructor(clock: Clock, limits: FloodLimits) {
    this.#clock = clock
    this.#limits = limits
  }

  watch(socket: TLSSocket, wire: Wire, session: ServerHttp2Session | undefined): void {
    const watched = { wire, session, bytes: new TokenBucket(this.#clock, this.#limits.bytes), counted: wire.bytesRead }
    this.#watched.set(socket, watched)
    // What came since the last look counts, also of whoever has left.
    socket.once('close', () => {
      this.#count(socket, watched)
      this.#watched.delete(socket)
      if (this.#watched.size === 0) this.#looking.abort()
    })
    const streams = new TokenBucket(this.#clock, this.#limits.streams)
    session?.on('stream', () => {
      if (streams.take() > 0) this.#end(socket, watched)
    })
    if (this.#watched.size === 1) void this.#look()
  }

  /** One wait for all connections, and none while there are none. */
  async #look(): Promise<void> {
    const { signal } = (this.#looking = new AbortController())
    for (;;) {
      try {
        await this.#clock.sleep(LOOK_EVERY_MS, signal)
      } catch {
        return
      }
      for (const [socket, watched] of this.#watched) this.#count(socket, watched)
    }
  }

  #count(socket: TLSSocket, watched: Watched): void {
    const { bytesRead } = watched.wire
    const since = bytesRead - watched.counted
    watched.counted = bytesRead
    if (since > 0 && watched.bytes.take(since) > 0) this.#end(socket, watched)
  }

  #end(socket: TLSSocket, { wire, session }: Watched): void {
    if (!this.#watched.delete(socket)) return
    if (this.#watched.size === 0) this.#looking.abort()
    wire.flooded()
    // Streams that have been read with this one come to nothing from now on, not only once the socket has closed.
    session?.destroy()
    socket.destroy()
  }
}
