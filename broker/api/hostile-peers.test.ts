import { once } from 'node:events'
import { type ClientHttp2Session, connect as connectHttp2, type IncomingHttpHeaders, type Settings } from 'node:http2'
import { connect, type TLSSocket } from 'node:tls'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { gzipSync } from 'node:zlib'
import { afterEach, expect, test } from 'vitest'
import type { Broker } from '../broker.ts'
import { attestedNode, connectTo, newCsr, pemOf, podFacts, tokenFor } from '../../test/fakes/node-client.ts'
import { runningBroker } from '../../test/fakes/running-broker.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

async function broker(change: Record<string, unknown> = {}) {
  const running = await runningBroker({ change })
  cleanups.push(() => running.stop())
  return running
}

/** A connection that has done its handshake. */
async function fresh({ port }: Broker, options: { cert?: string; key?: string } = {}): Promise<TLSSocket> {
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['h2'], ...options })
  cleanups.push(() => socket.destroy())
  socket.on('error', () => {})
  await once(socket, 'secureConnect')
  return socket
}

/** The same, and it says nothing. */
const idle = async (running: Broker, options?: { cert?: string; key?: string }): Promise<TLSSocket> =>
  (await fresh(running, options)).resume()

test("however many connections a node has left behind, its agent's next one is served", async () => {
  const running = await broker()
  const { identity, close } = await attestedNode(running, running.folder)
  close()
  const left: TLSSocket[] = []
  for (let count = 0; count < 8; count += 1) left.push(await idle(running, pemOf(identity)))
  const again = connectTo(running, running.folder, identity)
  cleanups.push(() => again.close())
  await expect(again.service.issueX509Svids({ requests: [] }, { timeoutMs: 5000 })).rejects.toMatchObject({
    code: 'request_invalid',
  })
  await expect.poll(() => left.filter(({ destroyed }) => destroyed)).toEqual([left[0]])
})

test('connections without a certificate are limited, and an agent comes in all the same', async () => {
  const running = await broker({ listener: { maxConnections: 20, maxAnonymous: 4 } })
  const left: TLSSocket[] = []
  for (let count = 0; count < 20; count += 1) left.push(await idle(running))
  await expect.poll(() => left.filter(({ destroyed }) => !destroyed)).toEqual(left.slice(-4))
  const node = await attestedNode(running, running.folder)
  cleanups.push(() => node.close())
  await expect(node.service.issueX509Svids({ requests: [] }, { timeoutMs: 5000 })).rejects.toMatchObject({
    code: 'request_invalid',
  })
})

test('who has no certificate has few streams and small messages, whatever the method', async () => {
  const running = await broker()
  const limitsOf = async (socket: TLSSocket) => {
    const session = connectHttp2('https://broker', { createConnection: () => socket })
    cleanups.push(() => session.destroy())
    const [settings] = (await once(session, 'remoteSettings')) as [Settings]
    return settings.maxConcurrentStreams
  }
  const node = await attestedNode(running, running.folder)
  cleanups.push(() => node.close())
  expect(await limitsOf(await fresh(running))).toBe(2)
  // Each may hold an unfinished message of 1 MiB, on each of a node's 8 connections.
  expect(await limitsOf(await fresh(running, pemOf(node.identity)))).toBe(8)

  const stranger = connectTo(running, running.folder)
  cleanups.push(() => stranger.close())
  const large = { serviceAccountToken: 'a.b.c', csr: new Uint8Array(70 * 1024) }
  const refused = await stranger.service.attestNode(large, { timeoutMs: 5000 }).catch((error: unknown) => error)
  expect(String((refused as Error).cause)).toContain('larger than max')
  await expect(stranger.service.issueX509Svids({ requests: [] }, { timeoutMs: 5000 })).rejects.toMatchObject({
    code: 'agent_certificate_required',
  })
})

const ATTEST = {
  ':method': 'POST',
  ':path': '/countersign.node.v1.NodeService/AttestNode',
  'content-type': 'application/grpc',
  te: 'trailers',
}

/** A message behind its head of five octets (gRPC over HTTP/2, "Length-Prefixed-Message"). */
function delimited(message: Buffer, isCompressed: 0 | 1): Buffer {
  const head = Buffer.from([isCompressed, 0, 0, 0, 0])
  head.writeUInt32BE(message.length, 1)
  return Buffer.concat([head, message])
}

async function strangersSession(running: Broker): Promise<ClientHttp2Session> {
  const socket = await fresh(running)
  const session = connectHttp2('https://broker', { createConnection: () => socket }).on('error', () => {})
  cleanups.push(() => session.destroy())
  return session
}

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void
const heapMegabytes = (): number => {
  collect()
  return process.memoryUsage().heapUsed / 2 ** 20
}

test('what a stranger does not finish takes no more memory than it is long', async () => {
  const running = await broker()
  // Fields that nobody knows, of two octets each: decoded at once and kept, each of these messages was 3 MiB.
  const message = delimited(Buffer.alloc(40_000, Buffer.from([0x78, 0])), 0)
  const before = heapMegabytes()
  for (let count = 0; count < 20; count += 1) {
    const session = await strangersSession(running)
    for (let stream = 0; stream < 2; stream += 1) {
      const request = session.request(ATTEST, { endStream: false })
      request.on('error', () => {})
      request.write(message)
    }
  }
  const node = await attestedNode(running, running.folder)
  cleanups.push(() => node.close())
  expect(heapMegabytes() - before).toBeLessThan(25)
})

test('a call with one request has one: what comes behind it ends the connection', async () => {
  const session = await strangersSession(await broker())
  const request = session.request(ATTEST, { endStream: false })
  request.on('error', () => {})
  request.write(Buffer.concat([delimited(Buffer.from([0x78, 1]), 0), Buffer.alloc(1)]))
  await once(session, 'close')
})

test('header fields have an end, so that few octets cannot stand for many', async () => {
  const running = await broker()
  const fields = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`x-${index}`, 'x'.repeat(3_000)]))
  const session = await strangersSession(running)
  const served = session.request({ ...ATTEST, ...fields(7) }, { endStream: true })
  const [headers] = (await once(served, 'response')) as [IncomingHttpHeaders]
  expect(headers[':status']).toBe(200)
  session.request({ ...ATTEST, ...fields(9) }, { endStream: false }).on('error', () => {})
  // Its age would end it without a word.
  expect(await Promise.race([once(session, 'goaway'), once(session, 'close')])).not.toEqual([])
})

test('what is compressed is not taken', async () => {
  const session = await strangersSession(await broker())
  const request = session.request({ ...ATTEST, 'grpc-encoding': 'gzip' }, { endStream: false })
  request.write(delimited(gzipSync(Buffer.alloc(40_000)), 1))
  const [headers] = (await once(request, 'response')) as [IncomingHttpHeaders]
  expect(headers['grpc-status']).toBe('12')
  expect(decodeURI(String(headers['grpc-message']))).toContain('unsupported encoding "gzip, which is not taken"')
})

test('invariant 4: a node that has taken over a name is another node', async () => {
  const running = await broker()
  const node = await attestedNode(running, running.folder)
  cleanups.push(() => node.close())
  const { csr } = await newCsr()
  const ask = async (nodeUid: string) => {
    const { podUid, ...facts } = podFacts({ nodeUid })
    const request = { requestId: 'r', csr, podUid, serviceAccountToken: tokenFor(running.folder, { podUid, ...facts }) }
    const { results } = await node.service.issueX509Svids({ requests: [request] }, { timeoutMs: 5000 })
    return results[0]?.outcome
  }
  expect(await ask('node-uid-b')).toMatchObject({ case: 'refusal', value: { code: 'node_mismatch' } })
  expect(await ask('node-uid-a')).toMatchObject({ case: 'svid' })
})
