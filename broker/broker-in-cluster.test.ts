import { rmSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { decodeBundleDocument } from '../core/spiffe/bundle-document.ts'
import { TrustDomain } from '../core/spiffe/trust-domain.ts'
import { FakeKubernetes } from '../test/fakes/fake-kubernetes.ts'
import { AUDIENCE, brokerConfig, type BrokerFolder, brokerFolder, runningBroker } from '../test/fakes/running-broker.ts'

const SECRET = '/api/v1/namespaces/system/secrets/wrapping'
const CONFIG_MAP = '/api/v1/namespaces/agents/configmaps/trust'
const TRUST_BUNDLE = '/apis/certificates.k8s.io/v1/clustertrustbundles/countersign.dev:prod.example:bundle'
const cleanups: (() => unknown)[] = []
let fake: FakeKubernetes

beforeAll(async () => {
  fake = await FakeKubernetes.start()
})
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
  fake.fault = undefined
  fake.store.documents.clear()
})
afterAll(() => fake.stop())

const change = () => ({
  attestation: { audience: AUDIENCE },
  kubernetes: { kubeconfig: fake.adminKubeconfig },
  authority: { wrappingKeySecret: 'system/wrapping' },
  bundle: { configMaps: ['agents/trust'], clusterTrustBundle: true },
})

async function start(folder: BrokerFolder, onOperations?: (port: number) => void) {
  const broker = await runningBroker({
    folder,
    change: change(),
    ...(onOperations && { environment: { onOperations } }),
  })
  cleanups.push(() => broker.stop())
  return broker
}

const document = (path: string) => fake.store.documents.get(path)
const sequenceAt = (path: string) =>
  (document(path)?.metadata as { annotations?: Record<string, string> } | undefined)?.annotations?.[
    'countersign.dev/bundle-sequence'
  ]

test('a broker begins without a key or a bundle, makes both, and finds its authorities again', async () => {
  const folder = brokerFolder()
  const first = await start(folder)
  await expect.poll(() => sequenceAt(CONFIG_MAP)).toBeDefined()
  await expect.poll(() => sequenceAt(TRUST_BUNDLE)).toBe(sequenceAt(CONFIG_MAP))
  const { data } = document(CONFIG_MAP) as unknown as { data: Record<string, string> }
  const bundle = decodeBundleDocument(TrustDomain.parse('prod.example'), data['bundle.json'] ?? '')
  expect(bundle.x509.authorities).toHaveLength(1)
  expect(data['ca.crt']).toContain('BEGIN CERTIFICATE')
  const secret = document(SECRET)
  expect(secret?.['immutable']).toBe(true)
  await first.stop()

  await start(folder)
  expect(document(SECRET)).toBe(secret)
  expect(document(CONFIG_MAP)?.['data']).toEqual(data)
})

test('a Secret that is gone while the ledger has authorities is never replaced', async () => {
  const folder = brokerFolder()
  await (await start(folder)).stop()
  fake.store.documents.delete(SECRET)
  await expect(start(folder)).rejects.toMatchObject({ code: 'key_store_locked' })
  expect(document(SECRET)).toBeUndefined()
  // A ledger that is new may have a new key.
  for (const end of ['', '-wal', '-shm', '.lock']) rmSync(`${folder.ledgerFile}${end}`, { force: true })
  await start(folder)
  expect(document(SECRET)).toBeDefined()
})

test('without the rule to read the Secret the broker waits, and /readyz names the rule', async () => {
  fake.fault = (path) => (path.includes('/secrets') ? { status: 403 } : undefined)
  let port = 0
  const starting = start(brokerFolder(), (operations) => (port = operations))
  await expect
    .poll(async () => (port === 0 ? '' : (await fetch(`http://127.0.0.1:${port}/readyz`)).text()))
    .toContain('get secrets in namespace system')
  fake.fault = undefined
  await starting
})

test('without the rules to publish, all else works', async () => {
  fake.fault = (path) => (/configmaps|clustertrustbundles/.test(path) ? { status: 403 } : undefined)
  const broker = await start(brokerFolder())
  expect((await fetch(`http://127.0.0.1:${broker.operationsPort}/readyz`)).status).toBe(200)
  fake.fault = undefined
  await expect.poll(() => sequenceAt(CONFIG_MAP), { timeout: 20_000 }).toBeDefined()
})

test.for<{ name: string; change: Record<string, unknown>; says: string }>([
  {
    name: 'two wrapping keys',
    change: { authority: { wrappingKeyFile: '/k', wrappingKeySecret: 'a/b' } },
    says: 'either',
  },
  { name: 'no wrapping key', change: { authority: {} }, says: 'either wrappingKeyFile or wrappingKeySecret' },
  {
    name: 'a Secret without Kubernetes',
    change: { authority: { wrappingKeySecret: 'a/b' } },
    says: 'needs kubernetes',
  },
  { name: 'ConfigMaps without Kubernetes', change: { bundle: { configMaps: ['a/b'] } }, says: 'need kubernetes' },
  { name: 'a ClusterTrustBundle without', change: { bundle: { clusterTrustBundle: true } }, says: 'needs kubernetes' },
  { name: 'a ConfigMap without a namespace', change: { bundle: { configMaps: ['b'] } }, says: 'is not namespace/name' },
])('refuses $name', ({ change: wrong, says }) => {
  expect(() => brokerConfig(brokerFolder(), wrong)).toThrow(says)
})
