import { createPrivateKey } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js'
import { create, fromBinary } from '@bufbuild/protobuf'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { parseCertificate } from '../../core/pki/certificate.ts'
import { spkiOf } from '../../core/pki/key.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { systemClock } from '../../core/runtime/system-clock.ts'
import { splitDerCertificates, x509Bundle } from '../../core/spiffe/bundle.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import {
  SpiffeWorkloadAPI,
  X509BundlesResponseSchema,
  X509SVIDRequestSchema,
  X509SVIDResponseSchema,
} from '../../proto/gen/third_party/spiffe/workload_pb.ts'
import { FakeBrokerAuthorities } from '../../test/fakes/fake-broker-authorities.ts'
import { identityFor, svidFor } from '../../test/fakes/workload-identities.ts'
import { Latest } from '../workloads/latest.ts'
import type { Delivered } from '../workloads/workload.ts'
import { workloadApiService } from './workload-api-service.ts'
import { WorkloadEndpoint } from './workload-endpoint.ts'

const authorities = await FakeBrokerAuthorities.create(TrustDomain.parse('test.example'), systemClock)
const partner = await FakeBrokerAuthorities.create(TrustDomain.parse('partner.example'), systemClock)
const stranger = await FakeBrokerAuthorities.create(TrustDomain.parse('stranger.example'), systemClock)
const emptied = x509Bundle(TrustDomain.parse('emptied.example'), [])

const STREAMS = ['FetchX509SVID', 'FetchX509Bundles', 'FetchJWTBundles', 'FetchWITSVID', 'FetchWITBundles']
const METHODS = [...STREAMS, 'FetchJWTSVID', 'ValidateJWTSVID']
const path = (method: string) => `/SpiffeWorkloadAPI/${method}`

let directory: string
let endpoint: WorkloadEndpoint
let identities: Map<string, Latest<Delivered>>
let servers: Server[]
let clients: Client[]

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'wl-'))
  identities = new Map()
  servers = []
  clients = []
  endpoint = new WorkloadEndpoint({ identityOf: (id) => identities.get(id), ownerOf: (id) => id, clock: systemClock })
})

afterEach(async () => {
  for (const identity of identities.values()) identity.stop(new IdentityError('shutting_down', 'the test is over'))
  for (const client of clients) client.close()
  await endpoint.stop()
  for (const server of servers) server.close()
  await rm(directory, { recursive: true, force: true })
})

/** The socket of a pod, as its volume has it, and what its streams follow. */
async function pod(id: string): Promise<Latest<Delivered>> {
  const identity = new Latest<Delivered>()
  identities.set(id, identity)
  const server = createServer((connection) => endpoint.accept(id, connection))
  server.listen(join(directory, id))
  await once(server, 'listening')
  servers.push(server)
  return identity
}

function clientOf(id: string, options: Record<string, unknown> = {}): Client {
  const client = new Client(`unix://${join(directory, id)}`, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
    ...options,
  })
  clients.push(client)
  return client
}

function headers(...values: readonly string[]): Metadata {
  const metadata = new Metadata()
  for (const value of values) metadata.add('workload.spiffe.io', value)
  return metadata
}

/** A stream's messages as bytes, and how it ended. */
function open(client: Client, method: string, metadata = headers('true'), request: Buffer = Buffer.alloc(0)) {
  const messages: Buffer[] = []
  const call = client.makeServerStreamRequest(path(method), same, same, request, metadata)
  call.on('data', (message: Buffer) => messages.push(message))
  const ended = new Promise<ServiceError | 'ok'>((resolve) => {
    call.once('error', (error) => resolve(error as ServiceError))
    call.once('end', () => setImmediate(() => resolve('ok')))
  })
  const received = (count: number) => vi.waitFor(() => expect(messages.length).toBeGreaterThanOrEqual(count))
  return { call, messages, ended, received }
}

const same = (bytes: Buffer): Buffer => bytes

async function outcome(client: Client, method: string, metadata: Metadata): Promise<ServiceError | 'ok'> {
  if (STREAMS.includes(method)) {
    const { ended, call, messages } = open(client, method, metadata)
    const first = new Promise<'ok'>((resolve) => call.once('data', () => resolve('ok')))
    const result = await Promise.race([ended, first])
    call.cancel()
    await ended
    return messages.length > 0 ? 'ok' : result
  }
  return new Promise((resolve) =>
    client.makeUnaryRequest(path(method), same, same, Buffer.alloc(0), metadata, (error) => resolve(error ?? 'ok')),
  )
}

const x509 = (bytes: Buffer | undefined) => fromBinary(X509SVIDResponseSchema, bytes ?? Buffer.alloc(0))
const bundles = (bytes: Buffer | undefined) => fromBinary(X509BundlesResponseSchema, bytes ?? Buffer.alloc(0)).bundles

describe('AE-03: every request carries workload.spiffe.io: true, once and exactly so', () => {
  test.for([
    { name: 'absent', values: [] },
    { name: 'True', values: ['True'] },
    { name: 'TRUE', values: ['TRUE'] },
    { name: '1', values: ['1'] },
    { name: 'false', values: ['false'] },
    { name: 'empty', values: [''] },
    { name: 'twice', values: ['true', 'true'] },
    { name: 'with a space', values: ['true x'] },
  ])('$name is InvalidArgument', async ({ values }) => {
    ;(await pod('cart')).set(await identityFor(authorities, 'cart'))
    const result = await outcome(clientOf('cart'), 'FetchX509SVID', headers(...values))
    expect(result).toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining('security_header_missing') as unknown,
    })
  })

  test('true is served', async () => {
    ;(await pod('cart')).set(await identityFor(authorities, 'cart'))
    expect(await outcome(clientOf('cart'), 'FetchX509SVID', headers('true'))).toBe('ok')
  })
})

describe('AE-04: the header comes before all else', () => {
  test.for(METHODS)('%s without header and without identity is InvalidArgument', async (method) => {
    await pod('cart')
    identities.delete('cart')
    expect(await outcome(clientOf('cart'), method, headers())).toMatchObject({ code: status.INVALID_ARGUMENT })
  })
})

describe('AE-07: codes', () => {
  test('no identity is PermissionDenied', async () => {
    await pod('cart')
    identities.delete('cart')
    for (const method of ['FetchX509SVID', 'FetchX509Bundles']) {
      const result = await outcome(clientOf('cart'), method, headers('true'))
      expect(result).toMatchObject({
        code: status.PERMISSION_DENIED,
        details: expect.stringContaining('workload_unknown') as unknown,
      })
    }
  })

  test('an identity that cannot be had yet is Unavailable', async () => {
    const identity = await pod('cart')
    identity.stop(new IdentityError('broker_unavailable', 'not yet'))
    expect(await outcome(clientOf('cart'), 'FetchX509SVID', headers('true'))).toMatchObject({
      code: status.UNAVAILABLE,
    })
  })

  test('an SVID that has expired is Unavailable, and served again once it is renewed', async () => {
    const identity = await pod('cart')
    identity.set(await identityFor(authorities, 'cart'))
    identity.stop(new IdentityError('identity_expired', 'expired'))
    const client = clientOf('cart')
    expect(await outcome(client, 'FetchX509SVID', headers('true'))).toMatchObject({ code: status.UNAVAILABLE })
    identity.set(await identityFor(authorities, 'cart'))
    expect(await outcome(client, 'FetchX509SVID', headers('true'))).toBe('ok')
  })

  test.for(METHODS.filter((method) => !method.startsWith('FetchX509')))(
    'AW-01: %s is Unimplemented',
    async (method) => {
      ;(await pod('cart')).set(await identityFor(authorities, 'cart'))
      expect(await outcome(clientOf('cart'), method, headers('true'))).toMatchObject({ code: status.UNIMPLEMENTED })
    },
  )

  test('WI-01: the WIT profile is Unimplemented without an identity, too', async () => {
    await pod('cart')
    identities.delete('cart')
    expect(await outcome(clientOf('cart'), 'FetchWITSVID', headers('true'))).toMatchObject({
      code: status.UNIMPLEMENTED,
    })
  })
})

test('AE-08: the service has the seven methods of the standard and no other', () => {
  expect(SpiffeWorkloadAPI.methods.map(({ name }) => name).toSorted()).toEqual(METHODS.toSorted())
  expect(SpiffeWorkloadAPI.typeName).toBe('SpiffeWorkloadAPI')
})

test.for(['localhost', '%2Fspiffe%2Fsocket', 'whatever.example:1234'])(
  'AE-12: :authority %s is not policed',
  async (authority) => {
    ;(await pod('cart')).set(await identityFor(authorities, 'cart'))
    const client = clientOf('cart', { 'grpc.default_authority': authority })
    expect(await outcome(client, 'FetchX509SVID', headers('true'))).toBe('ok')
  },
)

test('AE-06: a credential in the metadata changes nothing', async () => {
  ;(await pod('cart')).set(await identityFor(authorities, 'cart'))
  const metadata = headers('true')
  metadata.set('authorization', 'Bearer forged')
  const { messages, received } = open(clientOf('cart'), 'FetchX509SVID', metadata)
  await received(1)
  expect(x509(messages[0]).svids[0]?.spiffeId).toBe('spiffe://test.example/ns/shop/sa/cart')
})

test('AE-15, invariant 7: a stream that ends because we stop ends with Unavailable, never OK', async () => {
  const identity = await pod('cart')
  identity.set(await identityFor(authorities, 'cart'))
  const streams = ['FetchX509SVID', 'FetchX509Bundles'].map((method) => open(clientOf('cart'), method))
  for (const { received } of streams) await received(1)
  identity.stop(new IdentityError('shutting_down', 'the agent is stopping'))
  await endpoint.stop()
  for (const { ended } of streams) {
    expect(await ended).toMatchObject({
      code: status.UNAVAILABLE,
      details: expect.stringContaining('shutting_down') as unknown,
    })
  }
})

test('AW-02: the first message comes at once on each of 50 streams of one connection', async () => {
  ;(await pod('cart')).set(await identityFor(authorities, 'cart'))
  const client = clientOf('cart')
  const streams = Array.from({ length: 50 }, () => open(client, 'FetchX509SVID'))
  await Promise.all(streams.map(({ received }) => received(1)))
  expect(endpoint.connectionCount).toBe(1)
})

test('AW-03: each message is the complete state', async () => {
  const identity = await pod('cart')
  const federated = [partner.bundle, stranger.bundle]
  identity.set(await identityFor(authorities, 'cart', federated))
  const { messages, received } = open(clientOf('cart'), 'FetchX509SVID')
  await received(1)
  identity.set(await identityFor(authorities, 'cart', federated))
  await received(2)
  for (const message of messages.map(x509)) {
    expect(message.svids).toHaveLength(1)
    expect(Object.keys(message.federatedBundles).toSorted()).toEqual([
      'spiffe://partner.example',
      'spiffe://stranger.example',
    ])
  }
})

test('AW-04: nothing is said twice; a renewed SVID is no news to who follows bundles', async () => {
  const identity = await pod('cart')
  const first = await identityFor(authorities, 'cart')
  identity.set(first)
  const client = clientOf('cart')
  const svids = open(client, 'FetchX509SVID')
  const roots = open(client, 'FetchX509Bundles')
  await Promise.all([svids.received(1), roots.received(1)])
  // The same state in other objects, as after a restart.
  identity.set({ svid: { ...first.svid }, bundles: { ...first.bundles } })
  identity.set({ svid: await svidFor(authorities, 'cart'), bundles: { ...first.bundles } })
  await svids.received(2)
  identity.set({ svid: first.svid, bundles: { ...first.bundles, federated: [partner.bundle] } })
  await Promise.all([svids.received(3), roots.received(2)])
  expect(svids.messages).toHaveLength(3)
  expect(roots.messages).toHaveLength(2)
})

describe('AW-06 to AW-12: the message', () => {
  test('every field is filled and fits', async () => {
    const delivered = await identityFor(authorities, 'cart', [partner.bundle, emptied])
    ;(await pod('cart')).set(delivered)
    const { messages, received } = open(clientOf('cart'), 'FetchX509SVID')
    await received(1)
    const message = x509(messages[0])
    const [svid] = message.svids
    const chain = splitDerCertificates(svid?.x509Svid ?? Buffer.alloc(0))
    const leaf = parseCertificate(chain[0] ?? Buffer.alloc(0))
    // AW-06
    expect(message.svids).toHaveLength(1)
    expect(svid?.hint).toBe('internal')
    // AW-07
    expect([svid?.spiffeId]).toEqual(leaf.uris)
    // AW-08
    expect(svid?.x509Svid[0]).toBe(0x30)
    expect(svid?.bundle[0]).toBe(0x30)
    expect(Buffer.concat(chain).equals(svid?.x509Svid ?? Buffer.alloc(0))).toBe(true)
    // AW-09
    const key = createPrivateKey({ key: Buffer.from(svid?.x509SvidKey ?? []), format: 'der', type: 'pkcs8' })
    expect(spkiOf(key).equals(leaf.spki)).toBe(true)
    // AW-10, AW-11: foreign domains alone, and never an empty one.
    expect(Object.keys(message.federatedBundles)).toEqual(['spiffe://partner.example'])
    expect(splitDerCertificates(svid?.bundle ?? Buffer.alloc(0)).map((der) => Buffer.from(der))).toEqual(
      authorities.bundle.authorities.map(({ der }) => der),
    )
    // AW-12
    expect(message.crl).toEqual([])
  })

  test('AW-11: a federated domain that is emptied disappears, and the rest goes on', async () => {
    const identity = await pod('cart')
    const delivered = await identityFor(authorities, 'cart', [partner.bundle, stranger.bundle])
    identity.set(delivered)
    const { messages, received } = open(clientOf('cart'), 'FetchX509SVID')
    await received(1)
    const gone = x509Bundle(partner.trustDomain, [])
    identity.set({ ...delivered, bundles: { ...delivered.bundles, federated: [gone, stranger.bundle] } })
    await received(2)
    expect(Object.keys(x509(messages[1]).federatedBundles)).toEqual(['spiffe://stranger.example'])
  })

  test('AW-16: FetchX509Bundles has our own domain and the federated ones, keyed spiffe://td', async () => {
    ;(await pod('cart')).set(await identityFor(authorities, 'cart', [partner.bundle, emptied]))
    const { messages, received } = open(clientOf('cart'), 'FetchX509Bundles')
    await received(1)
    const found = bundles(messages[0])
    expect(Object.keys(found)).toEqual(['spiffe://partner.example', 'spiffe://test.example'])
    expect(Object.values(found).every((der) => der[0] === 0x30)).toBe(true)
  })
})

test('AW-14: the first SVID is the same however often it is fetched', async () => {
  ;(await pod('cart')).set(await identityFor(authorities, 'cart'))
  const two = [clientOf('cart'), clientOf('cart')]
  const streams = Array.from({ length: 100 }, (_, index) => open(two[index % 2] ?? clientOf('cart'), 'FetchX509SVID'))
  await Promise.all(streams.map(({ received }) => received(1)))
  expect(new Set(streams.map(({ messages }) => x509(messages[0]).svids[0]?.spiffeId)).size).toBe(1)
})

test('AW-15: an identity that is lost ends its streams with PermissionDenied', async () => {
  const identity = await pod('cart')
  identity.set(await identityFor(authorities, 'cart'))
  const { ended, received } = open(clientOf('cart'), 'FetchX509SVID')
  await received(1)
  identity.stop(new IdentityError('identity_denied', 'revoked'))
  expect(await ended).toMatchObject({ code: status.PERMISSION_DENIED })
})

test('AW-25: the client may go at any time, and idle streams get the next change', async () => {
  const identity = await pod('cart')
  identity.set(await identityFor(authorities, 'cart'))
  const idle = open(
    clientOf('cart', { 'grpc.keepalive_time_ms': 10, 'grpc.keepalive_permit_without_calls': 1 }),
    'FetchX509SVID',
  )
  const gone = clientOf('cart')
  const { call, received, ended } = open(gone, 'FetchX509SVID')
  await Promise.all([received(1), idle.received(1)])
  call.cancel()
  await ended
  gone.close()
  await vi.waitFor(() => expect(identity.followers).toBe(1))
  // The other one has pinged all the while.
  await systemClock.sleep(100)
  identity.set(await identityFor(authorities, 'cart'))
  await idle.received(2)
})

test('AW-26: an authority that comes or goes reaches both streams', async () => {
  const trust = await FakeBrokerAuthorities.create(TrustDomain.parse('test.example'), systemClock)
  const identity = await pod('cart')
  const delivered = await identityFor(trust, 'cart')
  identity.set(delivered)
  const client = clientOf('cart')
  const svids = open(client, 'FetchX509SVID')
  const roots = open(client, 'FetchX509Bundles')
  await Promise.all([svids.received(1), roots.received(1)])
  await trust.prepare()
  identity.set({ ...delivered, bundles: { own: trust.bundle, federated: [] } })
  await Promise.all([svids.received(2), roots.received(2)])
  trust.retire()
  identity.set({ ...delivered, bundles: { own: trust.bundle, federated: [] } })
  await Promise.all([svids.received(3), roots.received(3)])
  const counts = roots.messages.map(
    (message) => splitDerCertificates(bundles(message)['spiffe://test.example'] ?? Buffer.alloc(0)).length,
  )
  expect(counts).toEqual([1, 2, 1])
})

describe('AW-27', () => {
  test('unknown fields of a request are ignored', async () => {
    ;(await pod('cart')).set(await identityFor(authorities, 'cart'))
    // Field 1000, a varint.
    const { received } = open(clientOf('cart'), 'FetchX509SVID', headers('true'), Buffer.from('c03e01', 'hex'))
    await received(1)
  })

  test('an unknown method is Unimplemented', async () => {
    ;(await pod('cart')).set(await identityFor(authorities, 'cart'))
    expect(await outcome(clientOf('cart'), 'FetchEverything', headers('true'))).toMatchObject({
      code: status.UNIMPLEMENTED,
    })
  })
})

test('the socket that a call came on is the identity: two pods at once, never mixed', async () => {
  for (const name of ['cart', 'payments']) (await pod(name)).set(await identityFor(authorities, name))
  for (const name of ['cart', 'payments', 'cart', 'payments']) {
    const { messages, received } = open(clientOf(name), 'FetchX509SVID')
    await received(1)
    expect(x509(messages[0]).svids[0]?.spiffeId).toBe(`spiffe://test.example/ns/shop/sa/${name}`)
  }
})

describe('AE-16: one workload can only use up what is its own', () => {
  test('its 33rd connection is closed, and another workload is served', async () => {
    for (const name of ['cart', 'payments']) (await pod(name)).set(await identityFor(authorities, name))
    const streams = Array.from({ length: 32 }, () => open(clientOf('cart'), 'FetchX509SVID'))
    await Promise.all(streams.map(({ received }) => received(1)))
    expect(await outcome(clientOf('cart'), 'FetchX509SVID', headers('true'))).toMatchObject({
      code: status.UNAVAILABLE,
    })
    expect(await outcome(clientOf('payments'), 'FetchX509SVID', headers('true'))).toBe('ok')
    expect(endpoint.connectionCount).toBeGreaterThanOrEqual(32)
  })

  test('its 129th stream is Unavailable (overloaded)', async () => {
    ;(await pod('cart')).set(await identityFor(authorities, 'cart'))
    const three = Array.from({ length: 3 }, () => clientOf('cart'))
    const streams = Array.from({ length: 128 }, (_, index) =>
      open(three[index % 3] ?? clientOf('cart'), 'FetchX509SVID'),
    )
    await Promise.all(streams.map(({ received }) => received(1)))
    expect(await outcome(clientOf('cart'), 'FetchX509SVID', headers('true'))).toMatchObject({
      code: status.UNAVAILABLE,
      details: expect.stringContaining('overloaded') as unknown,
    })
  })
})

test('a call whose connection is gone is nobody, also where a workload is called as such a peer is', async () => {
  const identity = await pod('unknown')
  identity.set(await identityFor(authorities, 'unknown'))
  const { fetchX509SVID } = workloadApiService({ identityOf: (id) => identities.get(id), clock: systemClock })
  const metadata = new Metadata()
  metadata.set('workload.spiffe.io', 'true')
  // What grpc-js says then.
  const { signal } = new AbortController()
  const call = { peer: 'unknown', metadata, signal, fail: () => {}, reset: () => {} }
  const isRefused = expect.objectContaining({ code: 'workload_unknown' }) as Error
  expect(() => fetchX509SVID(create(X509SVIDRequestSchema), call)).toThrow(isRefused)
  expect(await outcome(clientOf('unknown'), 'FetchX509SVID', headers('true'))).toBe('ok')
})

test('a released workload keeps no connection', async () => {
  const identity = await pod('cart')
  identity.set(await identityFor(authorities, 'cart'))
  const { ended, received } = open(clientOf('cart'), 'FetchX509SVID')
  await received(1)
  identity.stop(new IdentityError('workload_unknown', 'the pod is gone'))
  await endpoint.release('cart')
  expect(await ended).toMatchObject({ code: status.PERMISSION_DENIED })
  await vi.waitFor(() => expect(endpoint.connectionCount).toBe(0))
})
