import { constants, type ServerHttp2Stream } from 'node:http2'

/**
 * Resets the HTTP/2 stream of a grpc-js call: nothing public ends one whose peer opens no window, for a status comes after
 * the data before it. The code is one that clients take for "too much", and try again after a while.
 */
export function resetStream(call: object): void {
  const stream = http2StreamOf(call)
  stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM)
  stream.destroy()
}

/** grpc-js keeps its HTTP/2 streams to itself; docs/adr/0007. */
function http2StreamOf(call: object): ServerHttp2Stream {
  const { stream } = (call as { readonly call?: { readonly stream?: ServerHttp2Stream } }).call ?? {}
  if (stream === undefined) throw new TypeError('this version of grpc-js keeps its HTTP/2 streams elsewhere')
  return stream
}
