import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { systemClock } from '../../core/runtime/system-clock.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { FakeBrokerAuthorities } from '../../test/fakes/fake-broker-authorities.ts'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { frame, headers, PREFACE, SETTINGS } from '../../test/fakes/http2-frames.ts'
import { identityFor } from '../../test/fakes/workload-identities.ts'
import { Latest } from '../workloads/latest.ts'
import type { Delivered } from '../workloads/workload.ts'
import { MAX_CONNECTIONS } from './open-connections.ts'
import { WorkloadEndpoint } from './workload-endpoint.ts'

const authorities = await FakeBrokerAuthorities.create(TrustDomain.parse('test.example'), systemClock)
const identity = new Latest<Delivered>()
identity.set(await identityFor(authorities, 'cart'))

const PING = frame(6, 0, 0, Buffer.alloc(8))
/** How the answer begins. */
const PONG = frame(6, 1, 0, Buffer.alloc(8)).subarray(0, 5)
const WINDOW_UPDATE = frame(8, 0, 0, Buffer.from([0, 0, 0, 1]))
const FETCH = Buffer.concat([
  headers(1, '/SpiffeWorkloadAPI/FetchX509SVID', { 'workload.spiffe.io': 'true' }),
  frame(0, 1, 1, Buffer.alloc(5)),
])
/** 1.3 MB in frames of 13 bytes, each of them valid, none of them a stream. */
const FLOOD = Buffer.concat(Array<Buffer>(100_000).fill(WINDOW_UPDATE))

let directory: string
let clock: FakeClock
let endpoint: WorkloadEndpoint
let servers: Server[]
let sockets: Socket[]
/** Workloads and limits, as they were told. */
let refused: string[]

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rb-'))
  clock = new FakeClock()
  sockets = []
  refused = []
  // `a1` and `a2` are volumes of one pod, `b` is another's.
  endpoint = new WorkloadEndpoint({
    identityOf: () => identity,
    ownerOf: (id) => id.slice(0, 1),
    clock,
    refused: (...told) => refused.push(told.join()),
  })
  servers = ['a1', 'a2', 'b'].map((id) => createServer((connection) => endpoint.accept(id, connection)))
  await Promise.all(servers.map((server, index) => once(server.listen(join(directory, ['a1', 'a2', 'b'][index] ?? '')), 'listening'))) // prettier-ignore
})

afterEach(async () => {
  for (const socket of sockets) socket.destroy()
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  await rm(directory, { recursive: true, force: true })
})

/** A connection whose HTTP/2 has begun, or one that was closed before. */
async function open(id: string): Promise<Socket> {
  const socket = connect(join(directory, id))
  sockets.push(socket)
  socket.on('error', () => {})
  const begun = new Promise((resolve) => socket.once('data', resolve).once('close', resolve))
  socket.write(Buffer.concat([PREFACE, SETTINGS]))
  await begun
  return socket
}

/** Sends, then waits until all of it has been read: a PING is answered in its turn, and nothing before it is. */
async function send(socket: Socket, frames: Buffer): Promise<void> {
  if (socket.closed) return
  const answered = new Promise<void>((resolve) => {
    const look = (data: Buffer) => {
      if (!data.includes(PONG)) return
      socket.off('data', look).off('close', resolve)
      resolve()
    }
    socket.on('data', look).once('close', resolve)
  })
  socket.write(Buffer.concat([frames, PING]))
  await answered
}

const isClosed = (socket: Socket) => vi.waitFor(() => expect(socket.closed).toBe(true))

async function isServed(id: string): Promise<void> {
  const socket = await open(id)
  expect(socket.closed).toBe(false)
  await send(socket, FETCH)
  expect(socket.closed).toBe(false)
}

describe('AE-16: what a pod sends besides requests', () => {
  test('takes its connection with it beyond the rate; its other ones stay, and another pod is served', async () => {
    const [flooding, honest] = [await open('a1'), await open('a2')]
    await send(flooding, FLOOD)
    await send(honest, FETCH)
    await clock.advance(1_000)
    await isClosed(flooding)
    await isServed('b')
    await send(honest, Buffer.alloc(0))
    expect(honest.closed).toBe(false)
    expect(refused).toEqual(['a1,bytes'])
  })

  test('counts for all of its connections together, and those of others stay', async () => {
    const flooding = await Promise.all(Array.from({ length: 16 }, (_, index) => open(index % 2 ? 'a1' : 'a2')))
    const other = await open('b')
    // None of them alone would be too much.
    const part = FLOOD.subarray(0, 13 * 8_000)
    await Promise.all(flooding.map((socket) => send(socket, part)))
    await clock.advance(1_000)
    await Promise.all(flooding.map(isClosed))
    expect(other.closed).toBe(false)
  })

  test('counts when the connection is gone, and keeps the pod out until it is made good', async () => {
    for (let count = 0; count < 8; count += 1) {
      const socket = await open('a1')
      await send(socket, FLOOD.subarray(0, 13 * 10_000))
      socket.destroy()
    }
    await vi.waitFor(() => expect(endpoint.connectionCount).toBe(0))
    refused = []
    await isClosed(await open('a2'))
    expect(refused).toEqual(['a2,bytes'])
    await isServed('b')
    // However much it was: a pod is not kept out for good.
    await clock.advance(60_000)
    await isServed('a2')
  })

  test('is no hindrance to a pod of many processes, each asking its connection every second whether it is alive', async () => {
    const honest = await Promise.all(Array.from({ length: MAX_CONNECTIONS }, () => open('a1')))
    await Promise.all(honest.map((socket) => send(socket, FETCH)))
    for (let second = 0; second < 30; second += 1) {
      await Promise.all(honest.map((socket) => send(socket, WINDOW_UPDATE)))
      await clock.advance(1_000)
    }
    expect(honest.some((socket) => socket.closed)).toBe(false)
  })
})
