import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { IdentityError } from '../core/runtime/errors.ts'
import { createLog } from '../core/runtime/log.ts'
import { systemRandom } from '../core/runtime/random.ts'
import { systemClock } from '../core/runtime/system-clock.ts'
import { type X509Bundle, x509Bundle } from '../core/spiffe/bundle.ts'
import { TrustDomain } from '../core/spiffe/trust-domain.ts'
import { FakeClock } from '../test/fakes/fake-clock.ts'
import { FakeKubernetes } from '../test/fakes/fake-kubernetes.ts'
import { BundlePublisher, type Publication } from './bundle-publisher.ts'
import { connectKubernetes, type Kubernetes } from './kubernetes/connect.ts'
import { publishBundle } from './kubernetes/publish-bundle.ts'
import { type BundlePlace, clusterTrustBundlePlace, configMapPlace } from './kubernetes/trust-bundle-objects.ts'
import { Problems } from './problems.ts'

const bundleOf = (sequence: number): X509Bundle =>
  x509Bundle(TrustDomain.parse('prod.example'), [], { sequence: BigInt(sequence) })
const COLLECTION = '/api/v1/namespaces/agents/configmaps'
const PATH = `${COLLECTION}/trust`
const place = configMapPlace('agents/trust')
const problems = new Problems(systemClock)
const signal = new AbortController().signal
let fake: FakeKubernetes
let kubernetes: Kubernetes

beforeAll(async () => {
  fake = await FakeKubernetes.start()
  kubernetes = await connectKubernetes({
    kubeconfig: fake.adminKubeconfig,
    audience: 'countersign.dev/prod.example',
    clock: systemClock,
    problems,
  })
})
afterEach(() => {
  fake.fault = undefined
  fake.store.documents.clear()
  fake.store.unserved.clear()
})
afterAll(async () => {
  kubernetes.close()
  await fake.stop()
})

const publish = (sequence: number, to: BundlePlace = place) =>
  publishBundle(kubernetes.api, to, bundleOf(sequence), signal)
const dataOf = (path: string) => fake.store.documents.get(path)?.['data'] as Record<string, string> | undefined

test('a bundle is made, kept and replaced', async () => {
  expect(await publish(1)).toBe('published')
  expect(await publish(1)).toBe('current')
  expect(await publish(2)).toBe('published')
  expect(dataOf(PATH)?.['bundle.json']).toContain('"spiffe_sequence":2')
})

test('never goes back, whatever two brokers do at the same time', async () => {
  const outcomes = await Promise.allSettled(Array.from({ length: 20 }, (_, index) => publish(1 + ((index * 7) % 20))))
  for (const outcome of outcomes) {
    if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'bundle_not_published' })
  }
  const last = Number(/"spiffe_sequence":(\d+)/.exec(dataOf(PATH)?.['bundle.json'] ?? '')?.[1])
  expect(await publish(21)).toBe('published')
  await expect(publish(last)).rejects.toThrow('it holds a newer bundle (21)')
})

test('an object that is deleted between a look and a write is made anew', async () => {
  await publish(1)
  let deleted = false
  fake.fault = (_, method) => {
    if (method === 'PUT' && !deleted) {
      deleted = true
      fake.store.documents.delete(PATH)
    }
    return undefined
  }
  expect(await publish(2)).toBe('published')
  expect(deleted).toBe(true)
})

test('where there are no ClusterTrustBundles none is published, and nothing is wrong', async () => {
  const bundles = clusterTrustBundlePlace('prod.example')
  fake.store.unserved.add(bundles.collection)
  expect(await publish(1, bundles)).toBe('unserved')
  fake.store.unserved.clear()
  expect(await publish(1, bundles)).toBe('published')
})

test('a namespace that is not there is told by name', async () => {
  fake.fault = (_, method) =>
    method === 'POST'
      ? {
          status: 404,
          body: JSON.stringify({
            kind: 'Status',
            message: 'namespaces "agents" not found',
            details: { name: 'agents', kind: 'namespaces' },
          }),
        }
      : undefined
  await expect(publish(1)).rejects.toMatchObject({
    code: 'bundle_not_published',
    message: expect.stringContaining('namespaces "agents" not found'),
  })
})

test.for([
  { method: 'GET', verb: 'get' },
  { method: 'POST', verb: 'create' },
])('without the rule to $verb it, the rule is named', async ({ method, verb }) => {
  fake.fault = (_, asked) => (asked === method ? { status: 403 } : undefined)
  await expect(publish(1)).rejects.toMatchObject({
    code: 'kubernetes_forbidden',
    facts: { rule: `{ apiGroups: [""], resources: ["configmaps"], verbs: ["${verb}"] }` },
  })
  expect(problems.list().map(({ message }) => message)).toEqual([
    expect.stringMatching(new RegExp(`${verb} configmaps.*in namespace agents`)),
  ])
  fake.fault = undefined
  expect(await publish(1)).toBe('published')
  expect(problems.list()).toEqual([])
})

/** A publisher on a clock of its own, and what it did. */
function publishing(attempt: Publication['publish']) {
  const clock = new FakeClock()
  const stop = new AbortController()
  const reported = new Problems(clock)
  const published: bigint[] = []
  const publisher = new BundlePublisher(
    { title: 'here', publish: attempt },
    {
      clock,
      random: systemRandom,
      log: createLog('broker', 'silent'),
      problems: reported,
      onPublished: (_, { sequence }) => published.push(sequence),
    },
  )
  const running = publisher.run(stop.signal)
  return {
    clock,
    publisher,
    published,
    problems: reported,
    stop: async () => {
      stop.abort()
      await running
    },
  }
}

test('a new bundle is published at once, and looked after from then on', async () => {
  const { clock, publisher, published, stop } = publishing(async () => 'published')
  publisher.publish(bundleOf(1))
  await expect.poll(() => published).toEqual([1n])
  publisher.publish(bundleOf(2))
  await expect.poll(() => published).toEqual([1n, 2n])
  await clock.advance(90_000)
  await expect.poll(() => published.length).toBeGreaterThan(2)
  await stop()
})

test('what cannot be published is a problem as long as it lasts, and is tried again', async () => {
  let attempts = 0
  const {
    clock,
    publisher,
    published,
    problems: reported,
    stop,
  } = publishing(async () => {
    attempts += 1
    if (attempts < 4) throw new IdentityError('bundle_not_published', 'it holds another')
    return 'published'
  })
  publisher.publish(bundleOf(1))
  await expect.poll(() => reported.list()).toMatchObject([{ key: 'bundle/here', code: 'bundle_not_published' }])
  for (let step = 0; step < 5; step += 1) await clock.advance(4_000)
  await expect.poll(() => published).toEqual([1n])
  expect(attempts).toBe(4)
  expect(reported.list()).toEqual([])
  await stop()
})
