import { spawn } from 'node:child_process'
import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import diagnostics from 'node:diagnostics_channel'
import { type EventEmitter, once } from 'node:events'
import { existsSync, mkdtempSync } from 'node:fs'
import { connect as connectPlain, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { afterEach, describe, expect, test } from 'vitest'
import { issuerOf, selfSign } from '../../core/pki/certificate-builder.ts'
import { parseCertificate } from '../../core/pki/certificate.ts'
import { pkcs8Of, spkiOf } from '../../core/pki/key.ts'
import { pemEncode } from '../../core/pki/pem.ts'
import { newSerialNumber } from '../../core/pki/serial-number.ts'
import type { Clock } from '../../core/runtime/clock.ts'
import { systemRandom } from '../../core/runtime/random.ts'
import { systemClock } from '../../core/runtime/system-clock.ts'
import { createAuthorityCertificate, createIntermediateCertificate } from '../../core/spiffe/authority-certificate.ts'
import { SpiffeId } from '../../core/spiffe/spiffe-id.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { x509SvidTemplate } from '../../core/spiffe/x509-svid.ts'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { type ListenerOptions, TlsListener } from './tls-listener.ts'

const cleanups: (() => void)[] = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup()
})

function newCredentials() {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const der = createAuthorityCertificate({
    trustDomain: TrustDomain.parse('prod.example'),
    serialNumber: newSerialNumber(systemClock, systemRandom),
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 3_600_000),
    privateKey,
  })
  return { chain: [der], privateKey: privateKey.export({ format: 'der', type: 'pkcs8' }) }
}

async function listen(limits: Partial<ListenerOptions['limits']> = {}, clock: Clock = systemClock) {
  const errors: string[] = []
  const refused: string[] = []
  const accepted: TLSSocket[] = []
  const listener = await TlsListener.listen(newCredentials(), {
    host: '127.0.0.1',
    port: 0,
    limits: {
      maxConnections: 100,
      maxHandshakes: 10,
      maxHandshakesPerAddress: 10,
      handshakeTimeoutMs: 5000,
      ...limits,
    },
    accept: (socket) => {
      accepted.push(socket)
      socket.write('x')
    },
    onRefused: (reason) => refused.push(reason),
    onError: (error) => errors.push(error.message),
    clock,
  })
  cleanups.push(() => listener.destroy())
  return { listener, errors, refused, accepted, port: listener.port }
}

/** What a client sees: its socket once it has read something, or an error code. */
function dial(port: number, options: ConnectionOptions & { localAddress?: string } = {}): Promise<TLSSocket | string> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ALPNProtocols: ['h2'], ...options })
    cleanups.push(() => socket.destroy())
    socket.once('data', () => resolve(socket))
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    socket.once('close', () => resolve('closed'))
  })
}

const closed = (socket: Socket) => new Promise<void>((resolve) => socket.once('close', () => resolve()))

test('TLS 1.3 with HTTP/2, and nobody needs a certificate to get that far', async () => {
  const { port } = await listen()
  const socket = await dial(port)
  expect(socket).toMatchObject({ alpnProtocol: 'h2' })
  expect((socket as TLSSocket).getProtocol()).toBe('TLSv1.3')
})

describe('refuses', () => {
  test.for<{ name: string; options: ConnectionOptions; sees: string }>([
    { name: 'TLS 1.2', options: { maxVersion: 'TLSv1.2' }, sees: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION' },
    {
      name: 'another protocol',
      options: { ALPNProtocols: ['http/1.1'] },
      sees: 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL',
    },
    { name: 'no protocol', options: { ALPNProtocols: [] }, sees: 'closed' },
    {
      name: 'a group that is not ours',
      options: { ecdhCurve: 'secp521r1' },
      sees: 'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE',
    },
  ])('$name', async ({ options, sees }) => {
    const { port, refused, accepted } = await listen()
    expect(await dial(port, options)).toBe(sees)
    await expect.poll(() => refused.length).toBe(1)
    expect(accepted).toEqual([])
  })
})

test('a hybrid post-quantum group is what a client that has it gets', async () => {
  const { port } = await listen()
  // Neither side can fall back: this client offers nothing else.
  expect(await dial(port, { ecdhCurve: 'X25519MLKEM768' })).toMatchObject({ alpnProtocol: 'h2' })
  // Offered beside a classical one that the client would rather have, it is still preferred.
  const socket = (await dial(port, { ecdhCurve: 'X25519MLKEM768:X25519' })) as TLSSocket
  expect(socket.getEphemeralKeyInfo()).not.toMatchObject({ name: 'X25519' })
})

test('invariant 8: a TLS session is never resumed', async () => {
  const { port } = await listen()
  const session = join(mkdtempSync(join(tmpdir(), 'session-')), 'session.pem')
  /** Leaves once the server has said something: by then it has had its chance to hand out tickets. */
  const client = async (...more: string[]) => {
    const args = ['s_client', '-connect', `127.0.0.1:${port}`, '-alpn', 'h2', ...more]
    const child = spawn('openssl', args, { stdio: ['pipe', 'pipe', 'ignore'] })
    let output = ''
    child.stdout.setEncoding('latin1').on('data', (text: string) => {
      output += text
      if (/---\r?\nx|read R BLOCK\r?\nx/.test(output)) child.stdin.end('Q\n')
    })
    await once(child, 'exit')
    return output
  }
  expect(await client('-sess_out', session)).toMatch(/^New, TLSv1\.3/m)
  // OpenSSL may have been given something to remember; what counts is that it is of no use.
  const second = existsSync(session) ? await client('-sess_in', session) : await client()
  expect(second).toMatch(/^New, TLSv1\.3/m)
  expect(second).not.toMatch(/^Reused/m)

  let saved: Buffer | undefined
  const first = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ALPNProtocols: ['h2'] })
  first.on('session', (data) => (saved = data))
  await new Promise((resolve) => first.once('data', resolve))
  first.destroy()
  const again = (await dial(port, saved ? { session: saved } : {})) as TLSSocket
  expect(again.isSessionReused()).toBe(false)
})

test('a client that says nothing is dropped after the handshake timeout, and delays nobody', async () => {
  const { port, refused } = await listen({ handshakeTimeoutMs: 300 })
  const silent = connectPlain(port, '127.0.0.1')
  silent.on('error', () => {})
  const dropped = closed(silent)
  expect(await dial(port)).toMatchObject({ alpnProtocol: 'h2' })
  await dropped
  await expect.poll(() => refused).toEqual(['timeout'])
})

test('bytes that are no TLS are dropped', async () => {
  const { port, refused } = await listen()
  const socket = connectPlain(port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\n\r\n'))
  socket.on('error', () => {})
  await closed(socket)
  await expect.poll(() => refused).toEqual(['handshake'])
})

test('only so many handshakes at a time: those that are done do not count', async () => {
  const { port, refused } = await listen({ maxHandshakes: 2, handshakeTimeoutMs: 60_000 })
  expect(await dial(port)).toMatchObject({ alpnProtocol: 'h2' })
  const silent = [1, 2, 3].map(() => connectPlain(port, '127.0.0.1'))
  for (const socket of silent) {
    socket.on('error', () => {})
    cleanups.push(() => socket.destroy())
  }
  await Promise.race(silent.map(closed))
  expect(refused[0]).toBe('limit')
  for (const socket of silent) socket.destroy()
  await expect.poll(async () => typeof (await dial(port))).toBe('object')
})

/** Peers that connect and say nothing. */
async function silence(port: number, count: number, localAddress: string): Promise<Socket[]> {
  const sockets = Array.from({ length: count }, () => connectPlain({ port, host: '127.0.0.1', localAddress }))
  for (const socket of sockets) {
    socket.on('error', () => {})
    cleanups.push(() => socket.destroy())
  }
  await Promise.all(sockets.map((socket) => once(socket, 'connect')))
  return sockets
}

test.for([
  { name: 'from its own address', localAddress: '127.0.0.1' },
  { name: 'from another address', localAddress: '127.0.0.2' },
])('silent connections $name keep nobody out', async ({ localAddress }) => {
  const { port, refused } = await listen({ maxHandshakes: 8, handshakeTimeoutMs: 60_000 })
  await silence(port, 20, localAddress)
  expect(await dial(port)).toMatchObject({ alpnProtocol: 'h2' })
  expect(refused).toContain('limit')
})

test('one address has only so many handshakes at a time, and takes nothing of the others', async () => {
  const { port } = await listen({ maxHandshakes: 8, maxHandshakesPerAddress: 2, handshakeTimeoutMs: 60_000 })
  const [oldest, ...others] = await silence(port, 2, '127.0.0.2')
  const elsewhere = await silence(port, 1, '127.0.0.3')
  const newer = await silence(port, 1, '127.0.0.2')
  if (!oldest?.destroyed) await closed(oldest as Socket)
  expect([...others, ...elsewhere, ...newer].map(({ destroyed }) => destroyed)).toEqual([false, false, false])
})

test('a connection without a ClientHello goes long before the handshake timeout', async () => {
  const clock = new FakeClock()
  const { port, refused } = await listen({ handshakeTimeoutMs: 60_000 }, clock)
  const [silent] = await silence(port, 1, '127.0.0.1')
  // Bytes of the beginning of a ClientHello.
  const [slow] = await silence(port, 1, '127.0.0.1')
  slow?.write(Buffer.of(22, 3, 1))
  expect(await dial(port)).toMatchObject({ alpnProtocol: 'h2' })
  const gone = closed(silent as Socket)
  await clock.advance(4_000)
  await gone
  expect(slow?.destroyed).toBe(false)
  expect(refused[0]).toBe('timeout')
})

/** The certificates of a client that are `count` copies of one, or a chain where each vouches for the one before. */
function shown(count: number, { isChain }: { isChain: boolean }): ConnectionOptions {
  const { chain, privateKey } = newCredentials()
  const [root] = chain.map(parseCertificate)
  if (!root) throw new TypeError('no certificate')
  let issuer = issuerOf(root, createPrivateKey({ key: privateKey, format: 'der', type: 'pkcs8' }))
  let key = issuer.privateKey
  const certificates = isChain ? [...chain] : Array.from({ length: count }, () => root.der)
  while (certificates.length < count) {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const der = createIntermediateCertificate({
      trustDomain: TrustDomain.parse('prod.example'),
      serialNumber: newSerialNumber(systemClock, systemRandom),
      notBefore: root.notBefore,
      notAfter: root.notAfter,
      spki: spkiOf(pair.publicKey),
      issuer,
    })
    issuer = issuerOf(parseCertificate(der), pair.privateKey)
    key = pair.privateKey
    certificates.unshift(der)
  }
  return {
    cert: certificates.map((der) => pemEncode('CERTIFICATE', der)).join(''),
    key: pemEncode('PRIVATE KEY', pkcs8Of(key)),
  }
}

describe('a chain that is dear to verify keeps its address out for a while', () => {
  test.for([
    { name: 'a handshake that is done', options: shown(10, { isChain: true }) },
    { name: 'a handshake that fails', options: shown(400, { isChain: false }) },
  ])('$name', async ({ options }) => {
    const clock = new FakeClock()
    const { port, refused } = await listen({}, clock)
    expect(await dial(port, shown(2, { isChain: true }))).toMatchObject({ alpnProtocol: 'h2' })
    await dial(port, { ...options, localAddress: '127.0.0.2' })
    await expect
      .poll(() => dial(port, { localAddress: '127.0.0.2' }), { timeout: 5000 })
      .not.toMatchObject({ alpnProtocol: 'h2' })
    expect(refused).toContain('limit')
    expect(await dial(port)).toMatchObject({ alpnProtocol: 'h2' })
    await clock.advance(31_000)
    expect(await dial(port, { localAddress: '127.0.0.2' })).toMatchObject({ alpnProtocol: 'h2' })
  })
})

test('a certificate larger than any of ours is not even read, and keeps its address out', async () => {
  const { port, refused, accepted } = await listen({}, new FakeClock())
  const withNames = (count: number) => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const request = {
      id: SpiffeId.parse('spiffe://prod.example/a'),
      spki: spkiOf(privateKey),
      keyType: 'ec-p256' as const,
      dnsNames: Array.from({ length: count }, (_, number) => `${'a'.repeat(60)}.${'b'.repeat(60)}.n${number}.example`),
      serialNumber: newSerialNumber(systemClock, systemRandom),
      notBefore: new Date(Date.now() - 60_000),
      notAfter: new Date(Date.now() + 3_600_000),
    }
    const der = selfSign(x509SvidTemplate(request), privateKey)
    return { cert: pemEncode('CERTIFICATE', der), key: pemEncode('PRIVATE KEY', pkcs8Of(privateKey)) }
  }
  expect(await dial(port, withNames(20))).toMatchObject({ alpnProtocol: 'h2' })
  expect(await dial(port, { ...withNames(150), localAddress: '127.0.0.2' })).not.toMatchObject({ alpnProtocol: 'h2' })
  expect(accepted).toHaveLength(1)
  expect(refused).toEqual(['certificate'])
  expect(await dial(port, { localAddress: '127.0.0.2' })).not.toMatchObject({ alpnProtocol: 'h2' })
  expect(refused).toEqual(['certificate', 'limit'])
})

test('an error of accepting is reported, and the listener listens on', async () => {
  const { subscribe, unsubscribe } = diagnostics
  let server: EventEmitter | undefined
  const learn = (message: unknown) => ({ server } = message as { server: EventEmitter })
  subscribe('tracing:net.server.listen:asyncStart', learn)
  const { port, errors } = await listen()
  unsubscribe('tracing:net.server.listen:asyncStart', learn)
  server?.emit('error', new Error('accept EMFILE'))
  expect(errors).toEqual(['accept EMFILE'])
  expect(await dial(port)).toMatchObject({ alpnProtocol: 'h2' })
})

test('only so many connections at a time', async () => {
  const { port, refused } = await listen({ maxConnections: 2 })
  await dial(port)
  await dial(port)
  expect(await dial(port)).not.toMatchObject({ alpnProtocol: 'h2' })
  expect(refused).toEqual(['limit'])
})

test('other credentials are shown to whoever comes next, and those who are there stay', async () => {
  const { port, listener } = await listen()
  const shown = (socket: TLSSocket) => socket.getPeerX509Certificate()?.fingerprint256
  const first = (await dial(port)) as TLSSocket
  const before = shown(first)
  listener.renew(newCredentials())
  const second = (await dial(port)) as TLSSocket
  expect(shown(second)).not.toBe(before)
  expect(first.destroyed).toBe(false)
})
