import { constants, type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { Clock } from '../../core/runtime/clock.ts'
import { TokenBuckets } from '../../core/runtime/token-bucket.ts'
import type { Refused } from './connection-limit.ts'
import type { OpenConnection } from './open-connections.ts'

/** Streams of one pod at a time, whatever has become of them. The service refuses politely, and sooner. */
export const MAX_OPEN_STREAMS = 192
/** A request is all but empty; one that has not come by then never will. */
export const REQUEST_MS = 10_000
/** What gRPC takes to be enough for metadata. */
const MAX_HEADER_BYTES = 8 * 1024
const TURNS = 16
/** Streams of one pod, which needs a few a minute: refusing them costs the agent's one thread, which all pods share. */
const RATE = { burst: 1_000, perSecond: 50 }

/**
 * What grpc-js does not bound: streams of a pod in all its connections, time for a request to come, the size of headers.
 * A stream beyond them is reset, for a status alone would leave it open until the peer ends its side, which it never may.
 */
export class StreamBounds {
  readonly #clock: Clock
  readonly #refused: Refused
  readonly #rates: TokenBuckets
  readonly #open = new Map<string, number>()
  /** Streams whose request has not come yet, and when it must have; the oldest first. */
  readonly #awaited = new Map<ServerHttp2Stream, number>()
  #watching: AbortController | undefined

  constructor(clock: Clock, refused: Refused) {
    this.#clock = clock
    this.#refused = refused
    this.#rates = new TokenBuckets(clock, RATE)
  }

  watch(connection: OpenConnection, session: ServerHttp2Session): void {
    session.on('stream', (stream, headers) => this.#opened(connection, stream, headers))
  }

  stop(): void {
    this.#watching?.abort()
  }

  #opened(connection: OpenConnection, stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const { owner } = connection
    if (this.#rates.take(owner) > 0) {
      // More of its streams may be under way: it is told of once.
      if (!connection.socket.destroyed) this.#refused(connection.id, 'streams')
      connection.socket.destroy()
      return
    }
    const open = (this.#open.get(owner) ?? 0) + 1
    this.#open.set(owner, open)
    connection.streams += 1
    stream.once('close', () => {
      connection.streams -= 1
      this.#awaited.delete(stream)
      const left = (this.#open.get(owner) ?? 0) - 1
      if (left > 0) this.#open.set(owner, left)
      else this.#open.delete(owner)
    })
    if (open > MAX_OPEN_STREAMS || sizeOf(headers) > MAX_HEADER_BYTES) {
      reset(stream, constants.NGHTTP2_ENHANCE_YOUR_CALM)
      return
    }
    this.#awaited.set(stream, this.#clock.monotonicMs() + REQUEST_MS)
    stream.once('end', () => this.#awaited.delete(stream))
    // Refused before its request had come: the rest of it is of no use to anybody (RFC 9113 §8.1).
    stream.once('finish', () => {
      if (!stream.readableEnded) void closeAnswered(stream)
    })
    if (!this.#watching) void this.#watchAwaited()
  }

  /** One wait for all of them, and none while nothing is awaited. */
  async #watchAwaited(): Promise<void> {
    const watching = (this.#watching = new AbortController())
    try {
      for (let next = this.#oldest(); next !== undefined; next = this.#oldest()) {
        await this.#clock.sleep(Math.max(1, next - this.#clock.monotonicMs()), watching.signal)
        for (const [stream, deadline] of this.#awaited) {
          if (deadline > this.#clock.monotonicMs()) break
          this.#awaited.delete(stream)
          reset(stream, constants.NGHTTP2_CANCEL)
        }
      }
    } catch (error) {
      if (!watching.signal.aborted) throw error
    } finally {
      this.#watching = undefined
    }
  }

  #oldest(): number | undefined {
    return this.#awaited.values().next().value
  }
}

/** The peer is told, and nothing waits for it to listen. */
function reset(stream: ServerHttp2Stream, code: number): void {
  stream.close(code)
  stream.destroy()
}

/** A reset overtakes what waits to be written, so the answer gets the few turns of the event loop that it takes. */
async function closeAnswered(stream: ServerHttp2Stream): Promise<void> {
  for (let turn = 0; turn < TURNS; turn += 1) await new Promise((resume) => setImmediate(resume))
  stream.close(constants.NGHTTP2_NO_ERROR)
}

function sizeOf(headers: IncomingHttpHeaders): number {
  return Object.entries(headers).reduce((sum, [name, value]) => sum + name.length + String(value).length, 0)
}
