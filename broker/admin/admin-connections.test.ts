import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { connect, type TLSSocket } from 'node:tls'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { pkcs8Of, spkiOf } from '../../core/pki/key.ts'
import { SpiffeId } from '../../core/spiffe/spiffe-id.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { FakeBrokerAuthorities } from '../../test/fakes/fake-broker-authorities.ts'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { TlsListener } from '../api/tls-listener.ts'
import { AdminConnections } from './admin-connections.ts'

const MAX = 3
let clock: FakeClock
let listener: TlsListener
let connections: AdminConnections
/** The names under which calls would see them. */
let injected: string[]
let clients: TLSSocket[]

beforeEach(async () => {
  clock = new FakeClock('2026-01-01T00:00:00Z')
  injected = []
  clients = []
  const authorities = await FakeBrokerAuthorities.create(TrustDomain.parse('prod.example'), clock)
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const svid = authorities.sign(
    SpiffeId.parse('spiffe://prod.example/countersign/broker'),
    spkiOf(privateKey),
    3_600_000,
  )
  connections = new AdminConnections({
    clock,
    bundle: () => authorities.bundle,
    inject: (socket) => void injected.push(String(socket.remoteAddress)),
    maxConnections: MAX,
  })
  listener = await TlsListener.listen(
    { chain: [svid.der], privateKey: pkcs8Of(privateKey) },
    {
      host: '127.0.0.1',
      port: 0,
      limits: { maxConnections: 100, maxHandshakes: 100, maxHandshakesPerAddress: 100, handshakeTimeoutMs: 5_000 },
      accept: (...accepted) => connections.accept(...accepted),
      onRefused: () => {},
      onError: () => {},
      clock,
    },
  )
})
afterEach(() => {
  for (const client of clients) client.destroy()
  listener.destroy()
})

async function dial(): Promise<TLSSocket> {
  const client = connect({ port: listener.port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['h2'] })
  clients.push(client)
  client.on('error', () => {})
  const before = connections.size
  await once(client, 'secureConnect')
  await expect.poll(() => connections.size > before || injected.length >= MAX).toBe(true)
  return client
}

const gone = (client: TLSSocket) => (client.closed ? undefined : once(client, 'close'))

test('a connection without a call goes after 15 s, one with calls after ten minutes', async () => {
  const silent = await dial()
  const used = await dial()
  expect(connections.peerOf(injected[1] ?? '')).toMatchObject({ kind: 'anonymous' })
  await clock.advance(15_000)
  await gone(silent)
  expect(used.destroyed).toBe(false)
  await clock.advance(10 * 60_000 - 15_000)
  await gone(used)
  await expect.poll(() => connections.size).toBe(0)
  expect(connections.peerOf(injected[1] ?? '')).toBeUndefined()
})

test('so many at a time: the oldest gives way to who comes next', async () => {
  const first = await dial()
  for (let more = 1; more < MAX; more += 1) await dial()
  await clock.advance(2_000)
  const last = await dial()
  await gone(first)
  await expect.poll(() => injected).toHaveLength(MAX + 1)
  expect(last.destroyed).toBe(false)
  expect(connections.size).toBe(MAX)
})
