import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2'
import { connect as connectTo, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { IdentityError } from '../../core/runtime/errors.ts'
import { systemClock } from '../../core/runtime/system-clock.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { FakeBrokerAuthorities } from '../../test/fakes/fake-broker-authorities.ts'
import { identityFor } from '../../test/fakes/workload-identities.ts'
import { Latest } from '../workloads/latest.ts'
import type { Delivered } from '../workloads/workload.ts'
import { WorkloadEndpoint } from './workload-endpoint.ts'

const authorities = await FakeBrokerAuthorities.create(TrustDomain.parse('test.example'), systemClock)
const late = new IdentityError('overloaded', 'late')
const denied = new IdentityError('identity_denied', 'revoked')

let directory: string
let identity: Latest<Delivered>
let endpoint: WorkloadEndpoint
let server: Server
let session: ClientHttp2Session

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'stalled-'))
  identity = new Latest()
  identity.set(await identityFor(authorities, 'cart'))
  endpoint = new WorkloadEndpoint({ identityOf: () => identity, ownerOf: (id) => id, clock: systemClock })
  server = createServer((connection) => endpoint.accept('cart', connection)).listen(join(directory, 'socket'))
  await once(server, 'listening')
})

afterEach(async () => {
  session.destroy()
  await endpoint.stop()
  server.close()
  await rm(directory, { recursive: true, force: true })
})

/** A stream of a client that lets so many bytes of it come. */
async function stream(initialWindowSize: number): Promise<ClientHttp2Stream> {
  const createConnection = () => connectTo(join(directory, 'socket'))
  session = connect('http://localhost', { createConnection, settings: { initialWindowSize } })
  session.on('error', () => {})
  await once(session, 'remoteSettings')
  const opened = session.request({
    ':method': 'POST',
    ':path': '/SpiffeWorkloadAPI/FetchX509SVID',
    'content-type': 'application/grpc',
    'workload.spiffe.io': 'true',
  })
  opened.on('error', () => {})
  opened.end(Buffer.alloc(5))
  await vi.waitFor(() => expect(identity.followers).toBe(1))
  return opened
}

const closed = async (opened: ClientHttp2Stream) => {
  if (!opened.destroyed) await new Promise((resolve) => opened.once('close', resolve))
  return opened.rstCode
}

test('a stream that takes nothing has passed nothing on, however little it was sent; late, it is reset', async () => {
  const stalled = await stream(0)
  stalled.pause()
  const patience = new AbortController()
  let isSettled = false
  const settled = identity.settled(patience.signal).then(() => (isSettled = true))
  await systemClock.sleep(50)
  expect(isSettled).toBe(false)
  patience.abort(late)
  await settled
  expect(await closed(stalled)).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM)
  expect(identity.followers).toBe(0)
})

test('the end of the series ends it, too', async () => {
  const stalled = await stream(0)
  stalled.pause()
  await systemClock.sleep(50)
  identity.stop(denied)
  await vi.waitFor(() => expect(identity.followers).toBe(0))
  expect(await closed(stalled)).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM)
})

test('one that reads again a moment later has what it was sent, and the status', async () => {
  const slow = await stream(64)
  slow.pause()
  await systemClock.sleep(50)
  identity.stop(denied)
  const trailers = once(slow, 'trailers')
  slow.resume()
  // HTTP/2 in Node gives a window back as it is read.
  expect((await trailers)[0]).toMatchObject({ 'grpc-status': '7' })
  expect(await closed(slow)).toBe(constants.NGHTTP2_NO_ERROR)
})

test('one that reads has passed each value on', async () => {
  const reading = await stream(65_535)
  reading.resume()
  for (let count = 0; count < 3; count += 1) {
    identity.set(await identityFor(authorities, 'cart'))
    await identity.settled(new AbortController().signal)
  }
  identity.stop(denied)
  expect(await closed(reading)).toBe(constants.NGHTTP2_NO_ERROR)
})
