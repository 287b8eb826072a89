import { Server } from '@grpc/grpc-js'
import { connect as connectHttp2 } from 'node:http2'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { FakeClock } from '../test/fakes/fake-clock.ts'
import { frame, GOAWAY, headers, PREFACE, SETTINGS } from '../test/fakes/http2-frames.ts'
import { NodeService } from './gen/countersign/node/v1/node_pb.ts'
import { addService } from './grpc-server.ts'
import { InjectedConnections, LAST_WORDS_MS } from './injected-connection.ts'

const SYNC = '/countersign.node.v1.NodeService/Sync'
/** A header block that no HPACK decoder accepts: the end of the session (RFC 9113 §4.3). */
const BROKEN_HEADERS = frame(1, 4, 5, Buffer.alloc(500, 0xff))

const cleanups: (() => void)[] = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup()
})

/** A server whose Sync never says anything and never ends by itself. */
async function serve() {
  const clock = new FakeClock()
  const server = new Server({ 'grpc.enable_channelz': 0 })
  let calls = 0
  addService(server, NodeService, {
    attestNode: () => new Promise(() => {}),
    issueX509Svids: () => new Promise(() => {}),
    async *sync(_requests, { signal }) {
      calls += 1
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
      yield {}
    },
  })
  const injected = new InjectedConnections(server, clock, { service: NodeService, maxMessageBytes: 1024 * 1024 })
  const open = new Set<Socket>()
  const listener = createServer((socket) => {
    open.add(socket.on('error', () => {}))
    socket.once('close', () => open.delete(socket))
    injected.inject(socket)
  })
  const { port } = await new Promise<AddressInfo>((resolve) =>
    listener.listen(0, '127.0.0.1', () => resolve(listener.address() as AddressInfo)),
  )
  cleanups.push(() => {
    server.forceShutdown()
    listener.close()
    for (const socket of open) socket.destroy()
  })
  return { clock, open, port, calls: () => calls }
}

/** Sends these bytes and waits until what the server had to say to them has come. */
async function say(port: number, bytes: Buffer): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').on('error', () => {})
  cleanups.push(() => socket.destroy())
  await new Promise<void>((resolve) => socket.once('connect', resolve))
  const answered = new Promise((resolve) => socket.on('data', resolve))
  socket.write(bytes)
  await answered
  return socket
}

test.for([
  { name: 'the peer leaves', leaves: true },
  { name: 'the peer stays', leaves: false },
])('GOAWAY, then an error of the session: the connection goes, though $name', async ({ leaves }) => {
  const { clock, open, port, calls } = await serve()
  const socket = await say(port, Buffer.concat([PREFACE, SETTINGS, headers(1, SYNC), GOAWAY, BROKEN_HEADERS]))
  await expect.poll(calls).toBe(1)
  if (leaves) socket.destroy()
  await clock.advance(2 * LAST_WORDS_MS)
  await expect.poll(() => open.size).toBe(0)
})

test('GOAWAY alone: what runs has its time to end', async () => {
  const { clock, open, port, calls } = await serve()
  const session = connectHttp2(`http://127.0.0.1:${port}`)
  cleanups.push(() => session.destroy())
  const stream = session.request({
    ':method': 'POST',
    ':path': SYNC,
    'content-type': 'application/grpc',
    te: 'trailers',
  })
  stream.on('error', () => {})
  await expect.poll(calls).toBe(1)
  session.goaway()
  await new Promise<void>((resolve, reject) => session.ping((error) => (error ? reject(error) : resolve())))
  await clock.advance(LAST_WORDS_MS)
  expect([stream.closed, open.size]).toEqual([false, 1])
  stream.close()
  await expect.poll(() => open.size).toBe(0)
})

test('a connection of which nothing is wrong is not touched', async () => {
  const { clock, open, port, calls } = await serve()
  const socket = await say(port, Buffer.concat([PREFACE, SETTINGS, headers(1, SYNC)]))
  await expect.poll(calls).toBe(1)
  await clock.advance(10 * LAST_WORDS_MS)
  expect(open.size).toBe(1)
  socket.destroy()
  await expect.poll(() => open.size).toBe(0)
})
