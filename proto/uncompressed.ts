import type { EventEmitter } from 'node:events'
import type { IncomingHttpHeaders } from 'node:http2'

const ENCODING = 'grpc-encoding'

/**
 * Lets grpc-js take no compressed message: it answers UNIMPLEMENTED, as the standard has it for an encoding that a server
 * does not know (gRPC compression, "Test cases" 3). Nobody of ours sends any, and what is inflated is as large as its
 * sender likes: grpc-js takes each message of a frame to pieces at once, whatever is read of it, and bounds them one by one.
 */
export function takeUncompressedOnly(http2Server: EventEmitter): void {
  http2Server.prependListener('stream', (_stream: unknown, headers: IncomingHttpHeaders) => {
    const encoding = headers[ENCODING]
    if (encoding !== undefined && encoding !== 'identity')
      headers[ENCODING] = `${String(encoding).slice(0, 32)}, which is not taken`
  })
}
