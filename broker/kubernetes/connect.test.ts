import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import type { Clock } from '../../core/runtime/clock.ts'
import { systemClock } from '../../core/runtime/system-clock.ts'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { FakeKubernetes, type Fault } from '../../test/fakes/fake-kubernetes.ts'
import { connectKubernetes, type Kubernetes } from './connect.ts'

const AUDIENCE = 'countersign.dev/prod.example'
const POD = { namespace: 'shop', serviceAccount: 'cart', name: 'cart-0' }
const signal = new AbortController().signal
let fake: FakeKubernetes
const open: Kubernetes[] = []
const directory = mkdtempSync(join(tmpdir(), 'kubeconfig-'))
let written = 0

beforeAll(async () => {
  fake = await FakeKubernetes.start()
  fake.state.addPod({ ...POD, node: 'node-a', labels: { app: 'cart' } })
})
afterEach(() => {
  fake.fault = undefined
  fake.rewriteReview = undefined
  for (const kubernetes of open.splice(0)) kubernetes.close()
})
afterAll(async () => {
  rmSync(directory, { recursive: true })
  await fake.stop()
})

async function connect(clock: Clock = systemClock, kubeconfig = fake.adminKubeconfig) {
  const kubernetes = await connectKubernetes({ kubeconfig, audience: AUDIENCE, clock, maxConnections: 4 })
  open.push(kubernetes)
  return kubernetes
}
const token = () => fake.tokenOf(POD, AUDIENCE)

test('reviews over kept connections: one for those in turn, a bounded number at once', async () => {
  const { reviewToken } = await connect()
  const before = fake.connections
  for (let round = 0; round < 20; round += 1) await reviewToken(token(), signal)
  expect(fake.connections - before).toBe(1)
  await Promise.all(Array.from({ length: 40 }, () => reviewToken(token(), signal)))
  expect(fake.connections - before).toBeLessThanOrEqual(4)
})

test('a kept connection that the server has closed is replaced without anybody noticing', async () => {
  const { reviewToken } = await connect()
  for (let round = 0; round < 5; round += 1) {
    expect(await reviewToken(token(), signal)).toMatchObject({ podName: 'cart-0' })
    fake.dropConnections()
  }
})

test('finds keys and issuer', async () => {
  const { fetchJwks, discoverIssuer } = await connect()
  expect(await fetchJwks(signal)).toEqual(fake.issuer.jwks())
  expect(await discoverIssuer(signal)).toBe(fake.issuer.issuer)
})

test.for([
  { name: '429 with Retry-After', fault: { status: 429, headers: { 'retry-after': '7' } }, retryAfterMs: 7000 },
  { name: '429 without', fault: { status: 429 }, retryAfterMs: 1000 },
  { name: 'an hour of Retry-After', fault: { status: 503, headers: { 'retry-after': '3600' } }, retryAfterMs: 60_000 },
  { name: '500', fault: { status: 500 }, retryAfterMs: 1000 },
  { name: '401: credentials that have expired', fault: { status: 401 }, retryAfterMs: 1000 },
  { name: '404: no such API', fault: { status: 404 }, retryAfterMs: 1000 },
  { name: 'something that is not JSON', fault: { status: 201, body: '<html>' }, retryAfterMs: 1000 },
  { name: 'a closed connection', fault: 'reset' as const, retryAfterMs: 1000 },
  { name: 'more than it should', fault: { status: 201, body: 'x'.repeat(5_000_000) }, retryAfterMs: 1000 },
] satisfies { name: string; fault: Fault; retryAfterMs: number }[])(
  'an API server that answers $name is unavailable',
  async ({ fault, retryAfterMs }) => {
    const { reviewToken } = await connect()
    fake.fault = () => fault
    const text = token()
    const refusal = await reviewToken(text, signal).catch((error: unknown) => error)
    expect(refusal).toMatchObject({ code: 'kubernetes_unavailable', retryAfterMs })
    // Invariant 6.
    expect(`${String(refusal)} ${String((refusal as Error).cause)}`).not.toContain(text.slice(0, 20))
  },
)

test('while the API server wants us to wait it is not asked', async () => {
  const clock = new FakeClock()
  const { reviewToken } = await connect(clock)
  fake.fault = () => ({ status: 429, headers: { 'retry-after': '5' } })
  await expect(reviewToken(token(), signal)).rejects.toMatchObject({ retryAfterMs: 5000 })
  fake.fault = undefined
  const before = fake.reviews
  await clock.advance(3000)
  await expect(reviewToken(token(), signal)).rejects.toMatchObject({
    code: 'kubernetes_unavailable',
    retryAfterMs: 2000,
  })
  expect(fake.reviews).toBe(before)
  await clock.advance(2000)
  expect(await reviewToken(token(), signal)).toMatchObject({ podName: 'cart-0' })
})

test('an API server that hangs is given up after 5 s', async () => {
  const clock = new FakeClock()
  const { reviewToken } = await connect(clock)
  fake.fault = () => 'hang'
  const before = fake.reviews
  const refusal = reviewToken(token(), signal).catch((error: unknown) => error)
  await expect.poll(() => fake.reviews).toBe(before + 1)
  await clock.advance(5000)
  expect(await refusal).toMatchObject({ code: 'kubernetes_unavailable' })
})

test('who no longer waits is heard', async () => {
  const { reviewToken } = await connect()
  fake.fault = () => 'hang'
  const caller = new AbortController()
  const attempt = reviewToken(token(), caller.signal)
  caller.abort(new Error('gone'))
  await expect(attempt).rejects.toThrow('gone')
})

test('an API server that is away is unavailable, and is found again', async () => {
  const other = await FakeKubernetes.start()
  const { discoverIssuer } = await connect(systemClock, other.adminKubeconfig)
  expect(await discoverIssuer(signal)).toBe(other.issuer.issuer)
  await other.stop()
  await expect(discoverIssuer(signal)).rejects.toMatchObject({ code: 'kubernetes_unavailable' })
})

test('a server that another CA vouches for is not believed', async () => {
  const other = await FakeKubernetes.start()
  const mixed = JSON.parse(readFileSync(fake.adminKubeconfig, 'utf8'))
  const { clusters } = JSON.parse(readFileSync(other.adminKubeconfig, 'utf8'))
  mixed.clusters[0].cluster['certificate-authority-data'] = clusters[0].cluster['certificate-authority-data']
  const { discoverIssuer } = await connect(systemClock, writeKubeconfig(mixed))
  await expect(discoverIssuer(signal)).rejects.toMatchObject({ code: 'kubernetes_unavailable' })
  await other.stop()
})

test.for([
  { name: 'plain HTTP', cluster: { server: 'http://127.0.0.1:1' }, says: 'not an https URL' },
  {
    name: 'a server that nobody verifies',
    cluster: { server: 'https://127.0.0.1:1', 'insecure-skip-tls-verify': true },
    says: 'insecure-skip-tls-verify',
  },
  { name: 'a proxy', cluster: { server: 'https://127.0.0.1:1', 'proxy-url': 'http://127.0.0.1:1' }, says: 'proxy-url' },
])('refuses a kubeconfig with $name', async ({ cluster, says }) => {
  const config = JSON.parse(readFileSync(fake.adminKubeconfig, 'utf8'))
  config.clusters[0].cluster = cluster
  await expect(connect(systemClock, writeKubeconfig(config))).rejects.toMatchObject({
    code: 'config_invalid',
    message: expect.stringContaining(says),
  })
})

test('outside a cluster there must be a kubeconfig', async () => {
  vi.stubEnv('KUBERNETES_SERVICE_HOST', undefined)
  vi.stubEnv('KUBERNETES_SERVICE_PORT', undefined)
  await expect(connectKubernetes({ audience: AUDIENCE, clock: systemClock })).rejects.toMatchObject({
    code: 'config_invalid',
    message: expect.stringContaining('in-cluster configuration'),
  })
  vi.unstubAllEnvs()
})

test('refuses a kubeconfig that is not there', async () => {
  await expect(connect(systemClock, '/nonexistent')).rejects.toMatchObject({ code: 'config_invalid' })
})

test('labels are looked up once for a while, by UID', async () => {
  const clock = new FakeClock()
  const { podFacts } = await connect(clock)
  const { uid } = fake.state.get('pods', POD).metadata
  const pod = { namespace: 'shop', podName: 'cart-0', podUid: uid }
  const path = '/api/v1/namespaces/shop/pods/cart-0'
  const before = fake.asked.get(path) ?? 0
  const all = await Promise.all(Array.from({ length: 20 }, () => podFacts.podLabels(pod, signal)))
  expect(all.map((labels) => labels.get('app'))).toEqual(Array(20).fill('cart'))
  await podFacts.podLabels(pod, signal)
  expect(fake.asked.get(path)).toBe(before + 1)
  await clock.advance(10_000)
  await podFacts.podLabels(pod, signal)
  expect(fake.asked.get(path)).toBe(before + 2)
  expect(Object.fromEntries(await podFacts.namespaceLabels('shop', signal))).toEqual({
    'kubernetes.io/metadata.name': 'shop',
  })
})

test('of a pod or a namespace with more labels than are read, no template is told a part of them', async () => {
  const clock = new FakeClock()
  const { podFacts } = await connect(clock)
  const labels = Object.fromEntries(Array.from({ length: 3000 }, (_, index) => [`l${index}`, 'x'.repeat(63)]))
  const metadata = { name: 'large-0', namespace: 'shop', uid: 'uid-large', labels }
  fake.fault = (path) => (path.includes('/shop') ? { status: 200, body: JSON.stringify({ metadata }) } : undefined)
  const refused = { code: 'template_unrenderable', message: expect.stringContaining('more than are read') }
  const pod = { namespace: 'shop', podName: 'large-0', podUid: 'uid-large' }
  await expect(podFacts.podLabels(pod, signal)).rejects.toMatchObject(refused)
  await expect(podFacts.namespaceLabels('shop', signal)).rejects.toMatchObject(refused)
  // Remembered like other labels.
  fake.fault = () => 'reset'
  await expect(podFacts.podLabels(pod, signal)).rejects.toMatchObject(refused)
})

test.for([
  { name: 'another pod of the same name', pod: { podName: 'cart-0', podUid: 'other' } },
  { name: 'a pod that is gone', pod: { podName: 'cart-9', podUid: 'other' } },
  { name: 'a name that would lead elsewhere', pod: { podName: '../../nodes/node-a', podUid: 'other' } },
])('knows no labels of $name', async ({ pod }) => {
  const { podFacts } = await connect()
  await expect(podFacts.podLabels({ namespace: 'shop', ...pod }, signal)).rejects.toMatchObject({
    code: 'token_rejected',
  })
})

function writeKubeconfig(config: unknown): string {
  const file = join(directory, `kubeconfig-${(written += 1)}`)
  writeFileSync(file, JSON.stringify(config))
  return file
}
