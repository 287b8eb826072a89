import { EventEmitter } from 'node:events'
import { constants } from 'node:http2'
import { Duplex } from 'node:stream'
import { expect, test } from 'vitest'
import { boundMessages } from './bounded-messages.ts'
import { NodeService } from './gen/countersign/node/v1/node_pb.ts'

const PATH = '/countersign.node.v1.NodeService/'
const message = (...content: number[]): Buffer => Buffer.from([0, 0, 0, 0, content.length, ...content])

/** A stream of HTTP/2 as far as it is looked at, and what a server gets of it who reads one piece and then waits. */
function opened(method: string, headers: Record<string, string> = {}) {
  const http2Server = new EventEmitter()
  const closed: number[] = []
  const got: Buffer[] = []
  const session = { destroy: (_: undefined, code: number) => void closed.push(code) }
  const stream = Object.assign(new Duplex({ read: () => {} }), { close: () => {}, session })
  const given: Record<string, string> = { ':path': PATH + method, ...headers }
  http2Server.on('stream', () => stream.on('data', (piece: Buffer) => stream.pause() && got.push(piece)))
  boundMessages(http2Server, { service: NodeService, maxMessageBytes: 4096 })
  http2Server.emit('stream', stream, given)
  stream.resume()
  return { stream, got, closed, given }
}

/** What a server that reads on gets. */
async function readAll({ stream, got }: ReturnType<typeof opened>): Promise<Buffer> {
  do {
    stream.resume()
    await new Promise((resume) => setImmediate(resume))
  } while (stream.readableLength > 0)
  return Buffer.concat(got)
}

test('the requests of a stream come a few at a time, whole', async () => {
  const call = opened('Sync')
  const sent = Buffer.concat(Array.from({ length: 1_000 }, (_, index) => message(...Buffer.alloc(index % 3))))
  // In the middle of a message, too.
  for (const part of [sent.subarray(0, 3_003), sent.subarray(3_003)]) call.stream.push(part)
  await new Promise((resume) => setImmediate(resume))
  expect(call.got).toHaveLength(1)
  expect(await readAll(call)).toEqual(sent)
  expect(call.got.length).toBeGreaterThanOrEqual(1_000 / 64)
  expect(Math.max(...call.got.map(({ length }) => length))).toBeLessThanOrEqual(64 * 7)
  expect(call.closed).toEqual([])
})

test('a call with one request has one', async () => {
  const request = message(1, 2, 3)
  const call = opened('AttestNode')
  for (const octet of request) call.stream.push(Buffer.of(octet))
  call.stream.push(null)
  expect(await readAll(call)).toEqual(request)
  expect(call.closed).toEqual([])

  for (const more of [[Buffer.concat([request, Buffer.of(0)])], [request, Buffer.of(0)], [Buffer.alloc(16_384)]]) {
    const flood = opened('AttestNode')
    for (const chunk of more) flood.stream.push(chunk)
    expect(flood.closed).toEqual([constants.NGHTTP2_ENHANCE_YOUR_CALM])
    expect(flood.stream.destroyed).toBe(true)
  }
})

test('a message in too many parts ends the connection; one in few is whole', async () => {
  const parts = Array.from({ length: 40 }, () => Buffer.alloc(100))
  const call = opened('Sync')
  call.stream.push(Buffer.from([0, 0, 0, 15, 160]))
  for (const part of parts) call.stream.push(part)
  expect((await readAll(call)).length).toBe(5 + 4_000)
  expect(call.got).toHaveLength(1)

  const flood = opened('Sync')
  flood.stream.push(Buffer.from([0, 0, 0, 15, 160]))
  for (let count = 0; count < 100; count += 1) flood.stream.push(Buffer.of(0))
  expect(flood.closed).toEqual([constants.NGHTTP2_ENHANCE_YOUR_CALM])
})

test('methods that nobody knows have one request, too', () => {
  const { stream, closed } = opened('Nothing')
  stream.push(Buffer.alloc(16_384))
  expect(closed).toHaveLength(1)
})

test.for([
  ['gzip', 'gzip, which is not taken'],
  ['deflate', 'deflate, which is not taken'],
  ['identity', 'identity'],
])('an encoding of %s is %s to grpc-js', ([encoding = '', seen]) => {
  expect(opened('AttestNode', { 'grpc-encoding': encoding }).given['grpc-encoding']).toBe(seen)
})
