import type { DescService } from '@bufbuild/protobuf'
import type { EventEmitter } from 'node:events'
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import { Readable } from 'node:stream'
import { MessageFraming } from './message-framing.ts'
import { methodDefinition } from './grpc-method.ts'

const ENCODING = 'grpc-encoding'
/** Messages of a stream that grpc-js is given at a time. */
const MOST_AT_ONCE = 64

/**
 * Bounds what grpc-js does not, and makes too much of: it takes all messages of a frame to pieces at once, whatever is
 * read of them, and of an empty one, which is five octets, it makes half a kilobyte (docs/adr/0007).
 *
 * - A call with one request has one: what comes behind it is the end of the call.
 * - The requests of a stream come to grpc-js a few at a time; it reads on once it has passed them on.
 * - No message is inflated. grpc-js answers UNIMPLEMENTED, as the standard has it for an encoding that a server does not
 *   know (gRPC compression, "Test cases" 3); nobody of ours sends any.
 */
export function boundMessages(http2Server: EventEmitter, { methods }: DescService): void {
  const streaming = new Set(
    methods.map(methodDefinition).flatMap(({ path, requestStream }) => (requestStream ? [path] : [])),
  )
  http2Server.prependListener('stream', (stream: BoundStream, headers: IncomingHttpHeaders) => {
    const encoding = headers[ENCODING]
    if (encoding !== undefined && encoding !== 'identity')
      headers[ENCODING] = `${String(encoding).slice(0, 32)}, which is not taken`
    stream[FRAMING] = new MessageFraming()
    // One function for all streams: one of its own would keep each of them until the old generation is collected.
    stream.push = streaming.has(String(headers[':path'])) ? pushFew : pushOne
  })
}

const FRAMING = Symbol('framing')

interface BoundStream extends ServerHttp2Stream {
  [FRAMING]: MessageFraming
}

const { push } = Readable.prototype

function pushOne(this: BoundStream, chunk: unknown, encoding?: BufferEncoding): boolean {
  if (!(chunk instanceof Uint8Array) || chunk.length === 0) return push.call(this, chunk, encoding)
  const framing = this[FRAMING]
  if (framing.ended === 0 && framing.end(chunk, 0, 1) === chunk.length) return push.call(this, chunk, encoding)
  // The peer is told, and nothing waits for it to listen.
  this.close(constants.NGHTTP2_ENHANCE_YOUR_CALM)
  this.destroy()
  return false
}

function pushFew(this: BoundStream, chunk: unknown, encoding?: BufferEncoding): boolean {
  if (!(chunk instanceof Uint8Array) || chunk.length === 0) return push.call(this, chunk, encoding)
  let hasRoom = true
  for (let start = 0; start < chunk.length;) {
    const end = this[FRAMING].end(chunk, start, MOST_AT_ONCE)
    hasRoom = push.call(this, chunk.subarray(start, end), encoding)
    start = end
  }
  return hasRoom
}
