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
  readonly socket: TLSSocket
  readonly wire: Wire
  readonly session: ServerHttp2Session | undefined
  readonly bytes: TokenBucket
  readonly overhead: TokenBucket
  counted: { readonly raw: number; readonly plain: number }
}

export const LOOK_EVERY_MS = 100
/**
 * Of these, what TLS keeps for itself: 22 octets for each record of up to 16 KiB, and one that is not complete. To change
 * keys takes 27 that hold nothing, and 15 to 25 µs of ours: a connection that sent a megabyte of them had a second.
 */
const OVERHEAD = { burst: 32 * 1024, perSecond: 4 * 1024 }

/**
 * Ends connections on which more comes than is of use to anybody.
 *
 * A frame that is no stream (WINDOW_UPDATE, PRIORITY, one of an unknown type) is 9 to 17 octets, and a change of TLS keys
 * (RFC 8446 §4.6.3) 27; they are dealt with where nobody hears of them. Of header fields one octet may stand for 4 KiB
 * (RFC 7541 §6.1), and those of a stream that is refused are read all the same. Only the sockets tell, by how much was read
 * from them. To open a stream and reset it is some 30 octets, and so dear that streams are counted apart.
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
    const watched = {
      socket,
      wire,
      session,
      bytes: new TokenBucket(this.#clock, this.#limits.bytes),
      overhead: new TokenBucket(this.#clock, OVERHEAD),
      counted: { raw: wire.bytesRead, plain: socket.bytesRead },
    }
    this.#watched.set(socket, watched)
    // What came since the last look counts, also of whoever has left.
    socket.once('close', () => {
      this.#count(watched)
      this.#watched.delete(socket)
      if (this.#watched.size === 0) this.#looking.abort()
    })
    const streams = new TokenBucket(this.#clock, this.#limits.streams)
    session?.on('stream', () => {
      if (streams.take() > 0) this.#end(watched)
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
      for (const watched of this.#watched.values()) this.#count(watched)
    }
  }

  #count(watched: Watched): void {
    const { socket, wire, bytes, overhead, counted } = watched
    const now = { raw: wire.bytesRead, plain: socket.bytesRead }
    watched.counted = now
    const raw = now.raw - counted.raw
    if (raw === 0) return
    if (bytes.take(raw) > 0 || overhead.take(raw - (now.plain - counted.plain)) > 0) this.#end(watched)
  }

  #end({ socket, wire, session }: Watched): void {
    if (!this.#watched.delete(socket)) return
    if (this.#watched.size === 0) this.#looking.abort()
    wire.flooded()
    // Streams that have been read with this one come to nothing from now on, not only once the socket has closed.
    session?.destroy()
    socket.destroy()
  }
}
