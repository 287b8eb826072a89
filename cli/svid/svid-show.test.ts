import { createPrivateKey } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Latest } from '../../agent/workloads/latest.ts'
import type { Delivered, SvidMaterial } from '../../agent/workloads/workload.ts'
import { WorkloadEndpoint } from '../../agent/workload-api/workload-endpoint.ts'
import { pemEncode } from '../../core/pki/pem.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { systemClock } from '../../core/runtime/system-clock.ts'
import { bundleToPem } from '../../core/spiffe/bundle.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { FakeBrokerAuthorities } from '../../test/fakes/fake-broker-authorities.ts'
import { svidFor } from '../../test/fakes/workload-identities.ts'
import { runCli } from '../../test/fakes/run-cli.ts'

const trustDomain = TrustDomain.parse('prod.example')
const authorities = await FakeBrokerAuthorities.create(trustDomain, systemClock)
const strangers = await FakeBrokerAuthorities.create(trustDomain, systemClock)
const cart = await svidFor(authorities, 'cart')
const other = await svidFor(authorities, 'other')

const chainPem = ({ chain }: SvidMaterial) => chain.map((der) => pemEncode('CERTIFICATE', der)).join('')
const keyPem = ({ privateKey }: SvidMaterial) => pemEncode('PRIVATE KEY', privateKey)

let directory: string
beforeAll(() => (directory = mkdtempSync(join(tmpdir(), 'svid-'))))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

function volume(name: string, files: Record<string, string>): string {
  const path = join(directory, name)
  mkdirSync(path)
  for (const [file, text] of Object.entries(files)) writeFileSync(join(path, file), text)
  return path
}

/** Nothing of a key, in whatever form, is ever printed. */
function expectNoKey(text: string): void {
  const scalar =
    createPrivateKey({ key: Buffer.from(cart.privateKey), format: 'der', type: 'pkcs8' }).export({ format: 'jwk' }).d ??
    ''
  expect(text).not.toContain('PRIVATE KEY')
  expect(text).not.toContain(Buffer.from(cart.privateKey).toString('base64').slice(20, 60))
  expect(text).not.toContain(scalar)
}

test('a volume: who, how long, by whom, and whether the key belongs to it', async () => {
  const path = volume('good', {
    'tls.crt': chainPem(cart),
    'tls.key': keyPem(cart),
    'ca.crt': bundleToPem(authorities.bundle),
  })
  const { code, out } = await runCli(['svid', 'show', path])
  expect(code).toBe(0)
  expect(out).toMatch(/SPIFFE ID: +spiffe:\/\/prod\.example\/ns\/shop\/sa\/cart\n/)
  expect(out).toMatch(/Verified: +yes, by authority [0-9a-f]+\n/)
  expect(out).toMatch(/Private key: +belongs to it\n/)
  expect(out).toMatch(/Expires: .*\(in 59m/)
  expectNoKey(out)
})

test('for programs', async () => {
  const { out } = await runCli(['--json', 'svid', 'show', join(directory, 'good')])
  expect(JSON.parse(out)).toMatchObject([
    { spiffeId: cart.id.toString(), keyType: 'ec-p256', keyMatches: true, verified: { ok: true } },
  ])
  expectNoKey(out)
})

test('a key of another certificate, and a chain of another authority, are failures', async () => {
  const mixed = volume('mixed', {
    'tls.crt': chainPem(cart),
    'tls.key': keyPem(other),
    'ca.crt': bundleToPem(authorities.bundle),
  })
  expect(await runCli(['svid', 'show', mixed])).toMatchObject({
    code: 1,
    out: expect.stringContaining('DOES NOT BELONG') as string,
  })
  const foreign = volume('foreign', { 'tls.crt': chainPem(cart), 'ca.crt': bundleToPem(strangers.bundle) })
  expect(await runCli(['svid', 'show', foreign])).toMatchObject({
    code: 1,
    out: expect.stringMatching(/Verified: +NO, the chain does not lead/) as string,
  })
})

test('a file with chain and key', async () => {
  const file = join(directory, 'credential-bundle.pem')
  writeFileSync(file, keyPem(cart) + chainPem(cart))
  const { code, out } = await runCli(['svid', 'show', file])
  expect(code).toBe(0)
  expect(out).toMatch(/Verified: +no bundle beside it/)
  expect(out).toMatch(/Private key: +belongs to it/)
  expectNoKey(out)
})

test('a file of a volume is held to the bundle beside it', async () => {
  const { code, out } = await runCli(['svid', 'show', join(directory, 'good', 'tls.crt')])
  expect(code).toBe(0)
  expect(out).toMatch(/Verified: +yes, by authority/)
  expect((await runCli(['svid', 'show', join(directory, 'foreign', 'tls.crt')])).code).toBe(1)
})

test('a file that is damaged is never quoted', async () => {
  const file = join(directory, 'damaged.pem')
  writeFileSync(file, `${chainPem(cart)}${pemEncode('PRIVATE KEY', cart.privateKey.subarray(0, 40))}`)
  const { code, out, err } = await runCli(['svid', 'show', file])
  expect(code).toBe(2)
  expect(err).toMatch(/holds no private key that can be read/)
  expectNoKey(out + err)
})

test.for([
  ['no PEM', 'nonsense', /^pem_invalid: \S+\/named\.pem: the PEM text has no block at all/],
  ['no certificate', pemEncode('CERTIFICATE', Buffer.from('x')), /^certificate_invalid: \S+\/named\.pem: /],
] as const)('a file with %s is named', async ([, text, says]) => {
  const file = join(directory, 'named.pem')
  writeFileSync(file, text)
  expect(await runCli(['svid', 'show', file])).toMatchObject({ code: 2, err: expect.stringMatching(says) as string })
})

test('the authorities of a volume are no SVID', async () => {
  const file = join(directory, 'good', 'ca.crt')
  const { code, err } = await runCli(['svid', 'show', file])
  expect(code).toBe(2)
  expect(err).toContain(
    `${file} begins with the certificate of an authority, which is no SVID; countersign bundle show`,
  )
})

test('a file of a volume that is no PEM is named', async () => {
  const path = volume('half', { 'tls.crt': chainPem(cart), 'ca.crt': 'nonsense' })
  expect((await runCli(['svid', 'show', path])).err).toContain(`pem_invalid: ${join(path, 'ca.crt')}: `)
})

test('the socket of a Workload API', async () => {
  const latest = new Latest<Delivered>()
  latest.set({ svid: cart, bundles: { own: authorities.bundle, federated: [] } })
  const endpoint = new WorkloadEndpoint({ identityOf: () => latest, ownerOf: (id) => id, clock: systemClock })
  const server = createServer((connection) => endpoint.accept('cart', connection))
  const path = join(directory, 'socket')
  server.listen(path)
  await once(server, 'listening')
  const { code, out } = await runCli(['svid', 'show', path])
  latest.stop(new IdentityError('shutting_down', 'the test is over'))
  await endpoint.stop()
  server.close()
  expect(code).toBe(0)
  expect(out).toContain(cart.id.toString())
  expect(out).toMatch(/Verified: +yes/)
  expectNoKey(out)
})

test('a socket that says nothing has the time of a request', async () => {
  const server = createServer((socket) => socket.on('error', () => {}).resume())
  const path = join(directory, 'silent')
  server.listen(path)
  await once(server, 'listening')
  const { code, err } = await runCli(['--request-timeout', '300ms', 'svid', 'show', path])
  server.close()
  expect(code).toBe(3)
  expect(err).toMatch(/did not answer in time/)
})

test.for([
  ['nothing there', ['svid', 'show', '/nonexistent'], 2, /ENOENT/],
  ['neither path nor pod', ['svid', 'show'], 2, /one of the two/],
  ['both', ['svid', 'show', '/tmp', '--pod', 'a/b'], 2, /one of the two/],
] as const)('%s', async ([, args, code, says]) => {
  const ended = await runCli([...args])
  expect(ended.code).toBe(code)
  expect(ended.err).toMatch(says)
})
