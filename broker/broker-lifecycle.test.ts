import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { PassThrough } from 'node:stream'
import { connect } from 'node:tls'
import { afterEach, describe, expect, test } from 'vitest'
import type { IdentityError } from '../core/runtime/errors.ts'
import { createLog } from '../core/runtime/log.ts'
import { systemClock } from '../core/runtime/system-clock.ts'
import { decodeBundleDocument } from '../core/spiffe/bundle-document.ts'
import { bundleToPem } from '../core/spiffe/bundle.ts'
import { TrustDomain } from '../core/spiffe/trust-domain.ts'
import { FakeClock } from '../test/fakes/fake-clock.ts'
import { agentFacts, attestedNode, connectTo, newCsr, podFacts, tokenFor } from '../test/fakes/node-client.ts'
import { brokerFolder, runningBroker, TRUST_DOMAIN } from '../test/fakes/running-broker.ts'

const OPTIONS = { timeoutMs: 5000 }
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

async function start(options: Parameters<typeof runningBroker>[0] = {}) {
  const broker = await runningBroker(options)
  cleanups.push(() => broker.stop())
  return broker
}

async function get(port: number, path: string): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`)
  return `${response.status} ${await response.text()}`
}

const errorOf = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: IdentityError) => error,
  )

test('invariant 7: a stream that ends because the broker stops ends with Unavailable', async () => {
  const broker = await start()
  const node = await attestedNode(broker, broker.folder)
  cleanups.push(() => node.close())
  const { send, responses } = node.service.sync()
  const iterator = responses[Symbol.asyncIterator]()
  send({ message: { case: 'hello', value: {} } })
  await iterator.next()
  const ended = errorOf(iterator.next())
  expect(await broker.stop()).toEqual([])
  expect(await ended).toMatchObject({ code: 'shutting_down', cause: { code: 14 } })
})

test("a stream, and the connection, end where the agent's SVID does", async () => {
  const broker = await start({ change: { issuance: { agentTtl: '2s' } } })
  const node = await attestedNode(broker, broker.folder)
  cleanups.push(() => node.close())
  const { send, responses } = node.service.sync()
  const iterator = responses[Symbol.asyncIterator]()
  send({ message: { case: 'hello', value: {} } })
  await iterator.next()
  expect(await errorOf(iterator.next())).toMatchObject({ code: 'agent_certificate_expired' })
  // notAfter is the last second that counts; then a call on the connection that was judged good is refused too.
  await expect
    .poll(async () => (await errorOf(node.service.issueX509Svids({ requests: [] }, OPTIONS)))?.code, { timeout: 5000 })
    .toBe('agent_certificate_expired')
  const late = connectTo(broker, broker.folder, node.identity)
  cleanups.push(() => late.close())
  expect(await errorOf(late.service.issueX509Svids({ requests: [] }, OPTIONS))).toMatchObject({
    code: 'agent_certificate_expired',
  })
})

test('a restart keeps authority, bundle and sequence', async () => {
  const first = await start()
  const { folder } = first
  const pem = readFileSync(folder.bundleFile, 'utf8')
  const document = readFileSync(folder.bundleDocument, 'utf8')
  // The document has the sequence, which PEM cannot have.
  const bundle = decodeBundleDocument(TrustDomain.parse(TRUST_DOMAIN), document)
  expect(bundle.x509.sequence).toBeGreaterThan(0n)
  expect(bundleToPem(bundle.x509)).toBe(pem)
  const node = await attestedNode(first, folder)
  node.close()
  await first.stop()
  const second = await start({ folder })
  expect(readFileSync(folder.bundleFile, 'utf8')).toBe(pem)
  expect(readFileSync(folder.bundleDocument, 'utf8')).toBe(document)
  const again = connectTo(second, folder, node.identity)
  cleanups.push(() => again.close())
  const { csr } = await newCsr()
  const serviceAccountToken = tokenFor(folder, podFacts())
  const { results } = await again.service.issueX509Svids(
    { requests: [{ requestId: 'r', serviceAccountToken, csr, podUid: 'pod-uid-1' }] },
    OPTIONS,
  )
  expect(results[0]?.outcome.case).toBe('svid')
})

describe('probes and metrics', () => {
  test('are answered', async () => {
    const broker = await start()
    const node = await attestedNode(broker, broker.folder)
    cleanups.push(() => node.close())
    expect(await get(broker.operationsPort, '/livez')).toBe('200 ok\n')
    expect(await get(broker.operationsPort, '/readyz')).toBe('200 ok\n')
    const metrics = await get(broker.operationsPort, '/metrics')
    expect(metrics).toContain('countersign_broker_svids_issued_total{kind="agent"} 1')
    expect(metrics).toMatch(/countersign_broker_connections \d/)
    expect(metrics).toMatch(/countersign_broker_bundle_sequence [1-9]/)
  })

  test('a ledger that is locked is waited for: not ready, and says why', async () => {
    const folder = brokerFolder()
    const lock = new DatabaseSync(folder.ledgerFile)
    lock.exec('CREATE TABLE other (x); BEGIN EXCLUSIVE')
    let operations: (port: number) => void = () => {}
    const port = new Promise<number>((resolve) => (operations = resolve))
    const starting = start({ folder, environment: { onOperations: operations } })
    const operationsPort = await port
    await expect
      .poll(() => get(operationsPort, '/readyz'), { timeout: 10_000 })
      .toBe('503 the ledger: the ledger is locked by another process\n')
    expect(await get(operationsPort, '/livez')).toBe('200 ok\n')
    lock.exec('ROLLBACK')
    lock.close()
    await starting
    expect(await get(operationsPort, '/readyz')).toBe('200 ok\n')
  })

  test.for([
    { name: 'that is not there', text: undefined },
    { name: 'that is no JSON', text: '{' },
    { name: 'that is no JWK Set', text: '{}' },
  ])('a file of signing keys $name: not ready, says why, and is read once it is good', async ({ text }) => {
    const folder = brokerFolder()
    const good = readFileSync(folder.jwksFile)
    if (text === undefined) rmSync(folder.jwksFile)
    else writeFileSync(folder.jwksFile, text)
    const clock = new FakeClock(systemClock.now().toISOString())
    const warnings: unknown[] = []
    const written = new PassThrough().on('data', (line: Buffer) => warnings.push(JSON.parse(line.toString())))
    const log = createLog('broker', 'warn', written)
    const broker = await start({ folder, environment: { clock, log } })
    const keys = "the cluster's signing keys cannot be read"
    expect(warnings).toContainEqual(
      expect.objectContaining({ setting: 'attestation.jwksFile', file: folder.jwksFile, msg: keys }),
    )
    expect(await get(broker.operationsPort, '/readyz')).toBe(`503 ${keys}: attestation.jwksFile\n`)
    await expect(attestedNode(broker, folder)).rejects.toMatchObject({ code: 'kubernetes_unavailable', message: keys })
    writeFileSync(folder.jwksFile, good)
    await clock.advance(5000)
    await expect.poll(() => get(broker.operationsPort, '/readyz')).toBe('200 ok\n')
  })

  test('an upstream that is away is waited for too', async () => {
    const folder = brokerFolder()
    const upstream = {
      certificateFile: join(folder.directory, 'root.pem'),
      keyFile: join(folder.directory, 'root.key'),
    }
    const authority = { wrappingKeyFile: join(folder.directory, 'wrapping.key'), mode: 'upstreamDisk', upstream }
    let operations: (port: number) => void = () => {}
    const port = new Promise<number>((resolve) => (operations = resolve))
    const starting = start({ folder, change: { authority }, environment: { onOperations: operations } })
    const operationsPort = await port
    await expect.poll(() => get(operationsPort, '/readyz'), { timeout: 10_000 }).toContain('503 the authorities')
    makeRoot(upstream)
    const broker = await starting

    const node = await attestedNode(broker, folder)
    cleanups.push(() => node.close())
    // The root alone is in the bundle; our intermediate travels in the chain (design §8).
    expect(node.identity.chain).toHaveLength(2)
    expect(readFileSync(folder.bundleFile, 'utf8').trim()).toBe(readFileSync(upstream.certificateFile, 'utf8').trim())
    const { csr } = await newCsr()
    const serviceAccountToken = tokenFor(folder, podFacts())
    const requests = [{ requestId: 'r', serviceAccountToken, csr, podUid: 'pod-uid-1' }]
    const { results } = await node.service.issueX509Svids({ requests }, OPTIONS)
    expect(results[0]?.outcome.case).toBe('svid')
  })
})

/** A root as a platform team would make it. */
function makeRoot({ certificateFile, keyFile }: { certificateFile: string; keyFile: string }): void {
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384', '-nodes', '-days', '3650']
  const extensions = ['-addext', 'keyUsage=critical,keyCertSign,cRLSign', '-subj', '/O=Example/CN=Root']
  execFileSync('openssl', [...args, ...extensions, '-keyout', keyFile, '-out', certificateFile], { stdio: 'pipe' })
}

describe('does not start', () => {
  test('with another wrapping key', async () => {
    const { folder, stop } = await start()
    await stop()
    writeFileSync(join(folder.directory, 'wrapping.key'), Buffer.alloc(32, 8).toString('base64'))
    await expect(runningBroker({ folder })).rejects.toMatchObject({ code: 'key_store_locked' })
  })

  test('without a wrapping key', async () => {
    const folder = brokerFolder()
    const authority = { wrappingKeyFile: join(folder.directory, 'absent') }
    await expect(runningBroker({ folder, change: { authority } })).rejects.toMatchObject({ code: 'key_store_locked' })
  })

  test('on the ledger of a newer program', async () => {
    const { folder, stop } = await start()
    await stop()
    const database = new DatabaseSync(folder.ledgerFile)
    database.exec('PRAGMA user_version = 1000')
    database.close()
    await expect(runningBroker({ folder })).rejects.toMatchObject({ code: 'store_too_new' })
  })

  test('on authorities that were changed behind its back', async () => {
    const { folder, stop } = await start()
    await stop()
    const database = new DatabaseSync(folder.ledgerFile)
    database.exec(`UPDATE authorities SET document = substr(document, 1, 100) || 'AAAA' || substr(document, 105)`)
    database.close()
    await expect(runningBroker({ folder })).rejects.toMatchObject({ code: 'store_corrupt' })
  })

  test('on the ledger of another trust domain', async () => {
    const { folder, stop } = await start()
    await stop()
    await expect(runningBroker({ folder, change: { trustDomain: 'other.example' } })).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringMatching(/spiffe:\/\/prod\.example, and trustDomain .* says spiffe:\/\/other\.example/),
    })
  })

  test('without the folder of its ledger', async () => {
    const folder = brokerFolder()
    const missing = join(folder.directory, 'absent')
    const change = { ledger: { file: join(missing, 'ledger.sqlite') } }
    await expect(runningBroker({ folder, change })).rejects.toMatchObject({
      code: 'config_invalid',
      message: `ledger.file: the folder ${missing} does not exist`,
    })
  })

  test('with templates that are wrong', async () => {
    const folder = brokerFolder()
    writeFileSync(join(folder.directory, 'templates', 'a.yaml'), 'kind: IdentityTemplate\n')
    await expect(runningBroker({ folder })).rejects.toMatchObject({ code: 'object_invalid' })
  })
})

test("the broker's own SVID is renewed in place at half of its life", async () => {
  const clock = new FakeClock('2026-01-01T00:00:00Z')
  const broker = await start({ environment: { clock } })
  const shown = () =>
    new Promise<string>((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port: broker.port, rejectUnauthorized: false, ALPNProtocols: ['h2'] })
      socket.once('error', reject)
      socket.once('secureConnect', () => {
        resolve(socket.getPeerX509Certificate()?.serialNumber ?? '')
        socket.destroy()
      })
    })
  const first = await shown()
  await clock.advance(29 * 60_000)
  expect(await shown()).toBe(first)
  await clock.advance(2 * 60_000)
  await expect.poll(shown, { timeout: 5000 }).not.toBe(first)
})

test('a clock that jumps ahead of every authority and back does not stop issuance for good', async () => {
  const clock = new FakeClock('2026-01-01T00:00:00Z')
  const folder = brokerFolder(clock)
  const broker = await start({ folder, environment: { clock } })
  const sequence = async () =>
    Number(/bundle_sequence (\d+)/.exec(await get(broker.operationsPort, '/metrics'))?.[1] ?? 0)
  const ready = async () => (await get(broker.operationsPort, '/readyz')).slice(0, 3)
  const before = await sequence()
  clock.jump(400 * 86_400_000)
  expect(await ready()).toBe('503')
  await clock.advance(61_000)
  await expect.poll(ready, { timeout: 5000 }).toBe('200')
  const ahead = await sequence()
  expect(ahead).toBeGreaterThan(before)
  clock.jump(-400 * 86_400_000)
  await clock.advance(61_000)
  await expect.poll(ready, { timeout: 5000 }).toBe('200')
  expect(await sequence()).toBeGreaterThanOrEqual(ahead)
})

test('agents that attest get the bundle of the moment', async () => {
  const broker = await start()
  const client = connectTo(broker, broker.folder)
  cleanups.push(() => client.close())
  const { csr } = await newCsr()
  const serviceAccountToken = tokenFor(broker.folder, agentFacts('node-a'))
  const { bundle } = await client.service.attestNode({ serviceAccountToken, csr }, OPTIONS)
  expect(bundle).toMatchObject({ trustDomain: 'prod.example', x509Authorities: [expect.any(Uint8Array)] })
  expect(bundle?.refreshHint?.seconds).toBe(300n)
})
