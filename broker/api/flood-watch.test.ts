import { generateKeyPairSync } from 'node:crypto'
import { connect, type TLSSocket } from 'node:tls'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { pkcs8Of, spkiOf } from '../../core/pki/key.ts'
import { SpiffeId } from '../../core/spiffe/spiffe-id.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { NodeService } from '../../proto/gen/countersign/node/v1/node_pb.ts'
import { FakeBrokerAuthorities } from '../../test/fakes/fake-broker-authorities.ts'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { frame, headers, PREFACE, SETTINGS } from '../../test/fakes/http2-frames.ts'
import { LOOK_EVERY_MS } from './flood-watch.ts'
import { FOR_STRANGERS, GrpcEndpoint } from './grpc-endpoint.ts'
import { TlsListener } from './tls-listener.ts'

const PING = frame(6, 0, 0, Buffer.alloc(8))
/** How the answer begins. */
const PONG = frame(6, 1, 0, Buffer.alloc(8)).subarray(0, 5)
/** RFC 9113 §5.5: a frame of an unknown type is thrown away. */
const UNKNOWN = 0x42
const ATTEST = '/countersign.node.v1.NodeService/AttestNode'
const RESET = Buffer.from([0, 0, 0, 8])
const FLOOD = Buffer.concat(Array<Buffer>(1_200).fill(frame(UNKNOWN, 0, 0, Buffer.alloc(1_000))))

let clock: FakeClock
let listener: TlsListener
let clients: TLSSocket[]
let refused: string[]
let attested: number

beforeEach(async () => {
  clock = new FakeClock()
  clients = []
  refused = []
  attested = 0
  const handlers = {
    attestNode: () => Promise.resolve({ svid: { spiffeId: `${(attested += 1)}` } }),
    issueX509Svids: () => Promise.resolve({}),
    async *sync() {},
  }
  const endpoint = new GrpcEndpoint({ service: NodeService, handlers, ended: () => {}, clock }, FOR_STRANGERS)
  const authorities = await FakeBrokerAuthorities.create(TrustDomain.parse('prod.example'), clock)
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const broker = SpiffeId.parse('spiffe://prod.example/countersign/broker')
  const svid = authorities.sign(broker, spkiOf(privateKey), 3_600_000)
  listener = await TlsListener.listen(
    { chain: [svid.der], privateKey: pkcs8Of(privateKey) },
    {
      host: '127.0.0.1',
      port: 0,
      limits: { maxConnections: 100, maxHandshakes: 100, maxHandshakesPerAddress: 100, handshakeTimeoutMs: 5_000 },
      accept: (socket, _chain, wire) => endpoint.inject(socket, wire),
      onRefused: (reason) => refused.push(reason),
      onError: () => {},
      clock,
    },
  )
})
afterEach(() => {
  for (const client of clients) client.destroy()
  listener.destroy()
})

/** A connection from an address whose HTTP/2 has begun, or one that was closed before. */
async function open(localAddress: string): Promise<TLSSocket> {
  const to = { port: listener.port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['h2'] }
  const socket = connect({ ...to, localAddress } as typeof to)
  clients.push(socket)
  socket.on('error', () => {})
  const begun = new Promise((resolve) => socket.once('data', resolve).once('close', resolve))
  socket.write(Buffer.concat([PREFACE, SETTINGS]))
  await begun
  return socket
}

/** Sends, then waits until all of it has been read: a PING is answered in its turn, and nothing before it is. */
async function send(socket: TLSSocket, frames: readonly Buffer[]): Promise<void> {
  const answered = new Promise<void>((resolve) => {
    const look = (data: Buffer | boolean) => {
      if (Buffer.isBuffer(data) && !data.includes(PONG)) return
      socket.off('data', look).off('close', look)
      resolve()
    }
    socket.on('data', look).on('close', look)
  })
  for (const part of frames) socket.write(part)
  socket.write(PING)
  await answered
}

/** Sends a frame of so many octets, each in a record of TLS 1.3, which has 22 of its own (RFC 8446 §5.2). */
async function inRecords(socket: TLSSocket, octets: number): Promise<void> {
  socket.write(frame(UNKNOWN, 0, 0, Buffer.alloc(octets)).subarray(0, 9))
  for (let count = 0; count < octets; count += 1) await new Promise((sent) => socket.write(Buffer.alloc(1), sent))
}

const isClosed = (socket: TLSSocket) => vi.waitFor(() => expect(socket.closed).toBe(true))

const FLOODER = '127.0.0.2'
const OTHER = '127.0.0.3'

describe('what a stranger sends besides requests', () => {
  test('ends its connection beyond a limit, and keeps its address out for a while; another is served', async () => {
    const [flooding, honest] = [await open(FLOODER), await open(OTHER)]
    await send(flooding, [FLOOD])
    await clock.advance(LOOK_EVERY_MS)
    await isClosed(flooding)
    await isClosed(await open(FLOODER))
    await send(honest, [])
    expect(honest.closed).toBe(false)
    expect((await open(OTHER)).closed).toBe(false)
    expect(refused).toEqual(['flood', 'limit'])
    await clock.advance(30_000)
    expect((await open(FLOODER)).closed).toBe(false)
  })

  test('counts as it comes on the wire, whatever is left of it once TLS has read it', async () => {
    const flooding = await open(FLOODER)
    await send(flooding, [FLOOD.subarray(0, 1_032 * 1_009)])
    await clock.advance(LOOK_EVERY_MS)
    expect(flooding.closed).toBe(false)
    await inRecords(flooding, 900)
    await send(flooding, [])
    await clock.advance(LOOK_EVERY_MS)
    await isClosed(flooding)
    expect(refused).toEqual(['flood'])
  })

  test('may be little, but not made of nothing but records of TLS', async () => {
    const flooding = await open(FLOODER)
    await inRecords(flooding, 1_600)
    await send(flooding, [])
    await clock.advance(LOOK_EVERY_MS)
    await isClosed(flooding)
    expect(refused).toEqual(['flood'])
  })

  test('counts of whoever leaves before anybody has looked', async () => {
    const flooding = await open(FLOODER)
    await send(flooding, [FLOOD])
    flooding.destroy()
    await vi.waitFor(() => expect(refused).toEqual(['flood']))
  })
})

test('streams that are opened and reset end the connection before anybody looks', async () => {
  const flooding = await open(FLOODER)
  const ids = Array.from({ length: 40 }, (_, index) => 2 * index + 1)
  await send(flooding, [Buffer.concat(ids.flatMap((id) => [headers(id, ATTEST), frame(3, 0, id, RESET)]))])
  await isClosed(flooding)
  expect(refused).toEqual(['flood'])
})

test('an agent whose certificate is not believed any more sends what it has, and is answered', async () => {
  const honest = await open(OTHER)
  // A string of 38,000 octets in a field that nobody knows.
  const message = Buffer.concat([Buffer.from([0x7a, 0xf0, 0xa8, 0x02]), Buffer.alloc(38_000)])
  const delimited = Buffer.concat([Buffer.from([0, 0, 0, message.length >> 8, message.length & 255]), message])
  const parts = [0, 16_000, 32_000].map((at) => delimited.subarray(at, at + 16_000))
  for (let count = 1; count <= 20; count += 1) {
    const id = 2 * count - 1
    const body = parts.map((part, index) => frame(0, index === 2 ? 1 : 0, id, part))
    await send(honest, [headers(id, ATTEST), ...body])
    await vi.waitFor(() => expect(attested).toBe(count))
  }
  await clock.advance(LOOK_EVERY_MS)
  expect(honest.closed).toBe(false)
  honest.destroy()
  await isClosed(honest)
  expect((await open(OTHER)).closed).toBe(false)
  expect(refused).toEqual([])
})
