import type { DescService } from '@bufbuild/protobuf'
import type { EventEmitter } from 'node:events'
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import { Readable } from 'node:stream'
import { methodDefinition } from './grpc-method.ts'
import { TooManyParts, WholeMessages } from './whole-messages.ts'

const ENCODING = 'grpc-encoding'
/** Octets of all header fields of a call, as RFC 9113 §6.5.2 counts them. A token of an operator is the longest part. */
const MAX_HEADER_OCTETS = 24 * 1024
const OCTETS_PER_FIELD = 32
/** Messages of a stream that grpc-js is given at a time. */
const MOST_AT_ONCE = 64

/** What a server takes of its callers. */
export interface MessageBounds {
  readonly service: DescService
  /** The longest message; longer ones are grpc-js's to refuse. */
  readonly maxMessageBytes: number
}

/**
 * Bounds what grpc-js does not, and makes too much of (docs/adr/0007): it takes all messages of a frame to pieces at once,
 * whatever is read of them; of an empty one, which is five octets, it makes half a kilobyte; and it keeps each part of an
 * unfinished one as it came.
 *
 * - A call with one request has one: what comes behind it is the end of the connection, as are too many parts.
 * - grpc-js gets whole messages, and those of a stream a few at a time; it reads on once it has passed them on.
 * - Header fields have an end. HTTP/2 in Node takes 128 of them, and one octet may stand for 4 KiB (RFC 7541 §6.1): a call of
 *   200 octets had half a megabyte, kept for as long as it was open.
 * - No message is inflated. grpc-js answers UNIMPLEMENTED, as the standard has it for an encoding that a server does not
 *   know (gRPC compression, "Test cases" 3); nobody of ours sends any.
 */
export function boundMessages(http2Server: EventEmitter, { service, maxMessageBytes }: MessageBounds): void {
  const streaming = new Set(
    service.methods.map(methodDefinition).flatMap(({ path, requestStream }) => (requestStream ? [path] : [])),
  )
  http2Server.prependListener('stream', (stream: BoundStream, headers: IncomingHttpHeaders) => {
    if (octetsOf(headers) > MAX_HEADER_OCTETS) {
      // Of a call without any, grpc-js makes a refusal at once; it would not bear a stream that is gone before it sees it.
      for (const name of Object.keys(headers)) delete headers[name]
      process.nextTick(refuse, stream)
    }
    const encoding = headers[ENCODING]
    if (encoding !== undefined && encoding !== 'identity')
      headers[ENCODING] = `${String(encoding).slice(0, 32)}, which is not taken`
    stream[MESSAGES] = new WholeMessages(maxMessageBytes, MOST_AT_ONCE)
    stream[HAS_ONE] = !streaming.has(String(headers[':path']))
    // One function for all streams: one of its own would keep each of them until the old generation is collected.
    stream.push = pushWhole
  })
}

function octetsOf(headers: IncomingHttpHeaders): number {
  let octets = 0
  for (const name of Object.keys(headers)) octets += name.length + String(headers[name]).length + OCTETS_PER_FIELD
  return octets
}

const MESSAGES = Symbol('messages')
const HAS_ONE = Symbol('has one')

interface BoundStream extends ServerHttp2Stream {
  [MESSAGES]: WholeMessages
  [HAS_ONE]: boolean
}

const { push } = Readable.prototype

function pushWhole(this: BoundStream, chunk: unknown, encoding?: BufferEncoding): boolean {
  if (!Buffer.isBuffer(chunk) || chunk.length === 0 || this.destroyed) return push.call(this, chunk, encoding)
  const messages = this[MESSAGES]
  let pieces: Buffer[]
  try {
    pieces = messages.take(chunk)
  } catch (error) {
    if (error instanceof TooManyParts) return refuse(this)
    throw error
  }
  if (this[HAS_ONE] && (messages.ended > 1 || (messages.ended === 1 && messages.hasBegun))) return refuse(this)
  let hasRoom = true
  for (const piece of pieces) hasRoom = push.call(this, piece, encoding)
  return hasRoom
}

/** The peer is told, and nothing waits for it to listen. No program does this: its connection goes, and has to be made anew. */
function refuse(stream: BoundStream): false {
  const { session } = stream
  stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM)
  stream.destroy()
  session?.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM)
  return false
}
