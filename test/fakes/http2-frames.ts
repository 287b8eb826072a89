/** Frames of HTTP/2 as bytes (RFC 9113), for what no client library would send. */
export function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(9)
  header.writeUIntBE(payload.length, 0, 3)
  header[3] = type
  header[4] = flags
  header.writeUInt32BE(stream, 5)
  return Buffer.concat([header, payload])
}

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
export const SETTINGS = frame(4, 0, 0, Buffer.alloc(0))
export const GOAWAY = frame(7, 0, 0, Buffer.alloc(8))

/** The beginning of a gRPC call; its request stays open. */
export function headers(stream: number, path: string, more: Record<string, string> = {}): Buffer {
  const fields = {
    ':method': 'POST',
    ':scheme': 'https',
    ':path': path,
    ':authority': 'x',
    te: 'trailers',
    'content-type': 'application/grpc',
    ...more,
  }
  // Literal fields without indexing (RFC 7541 §6.2.2), names and values short enough for one octet of length.
  const block = Object.entries(fields).map(([name, value]) =>
    Buffer.concat([Buffer.from([0, name.length]), Buffer.from(name), Buffer.from([value.length]), Buffer.from(value)]),
  )
  return frame(1, 4, stream, Buffer.concat(block))
}
