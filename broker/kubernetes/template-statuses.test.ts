import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { systemRandom } from '../../core/runtime/random.ts'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import type { FakeCollection } from '../../test/fakes/fake-kubernetes-collection.ts'
import { FakeKubernetes } from '../../test/fakes/fake-kubernetes.ts'
import { Problems } from '../problems.ts'
import { RULES } from '../registration/template-source.contract.ts'
import type { TemplateState } from '../registration/template-source.ts'
import { ApiConnection } from './api-connection.ts'
import { loadCredentials } from './credentials.ts'
import { TemplateCustomResources, TEMPLATES_PATH } from './template-custom-resources.ts'
import { statusOf, TemplateStatuses } from './template-statuses.ts'
import { readPod, WatchedPods } from './watched-pods.ts'

const WAIT = { timeout: 15_000, interval: 20 }
let fake: FakeKubernetes
let templates: FakeCollection
let pods: FakeCollection
let namespaces: FakeCollection
const stops: (() => Promise<void> | void)[] = []
beforeAll(async () => {
  fake = await FakeKubernetes.start()
})
afterEach(async () => {
  fake.fault = undefined
  for (const stop of stops.splice(0)) await stop()
})
afterAll(() => fake.stop())

const VOLUME = { csi: { driver: 'csi.countersign.dev' } }
const putPod = (name: string, serviceAccount: string, volume: object = VOLUME) =>
  pods.put({
    metadata: { name, namespace: 'shop', labels: { app: name } },
    spec: { serviceAccountName: serviceAccount, volumes: [volume] },
  })
const putTemplate = (name: string, spec: object) => templates.put({ metadata: { name }, spec })

/** All that keeps the status of templates, on a clock that the test moves. */
async function keep() {
  templates = fake.serve(TEMPLATES_PATH)
  pods = fake.serve('/api/v1/pods')
  namespaces = fake.serve('/api/v1/namespaces')
  namespaces.put({ metadata: { name: 'shop', labels: { team: 'blue' } } })
  const clock = new FakeClock()
  const problems = new Problems(clock)
  const server = await loadCredentials({ kubeconfig: fake.adminKubeconfig })
  const api = new ApiConnection(server, { clock, maxConnections: 4, problems })
  const dependencies = { api, clock, random: systemRandom }
  const reviews: (readonly TemplateState[])[] = []
  const failed: unknown[] = []
  const onChange = () => statuses.changed()
  const source = new TemplateCustomResources({ ...dependencies, rules: RULES, onChange, onTrouble: () => {} })
  const watched = new WatchedPods({ ...dependencies, onChange, onTrouble: () => {} })
  const statuses = new TemplateStatuses({
    ...{ api, clock },
    objects: () => source.objects,
    seen: () => watched.seen,
    onReviewed: (states) => {
      reviews.push(states)
      source.reviewed(states)
    },
    onFailed: (error) => failed.push(error),
  })
  stops.push(async () => {
    await Promise.all([statuses.close(), watched.close(), source.close()])
    api.close()
  })
  /** Lets time pass until `value` is as awaited. */
  const soon =
    <T>(value: () => T) =>
    async () => {
      await clock.advance(1000)
      return value()
    }
  return { clock, source, reviews, failed, problems, soon }
}

interface Ready {
  readonly status: string
  readonly reason: string
  readonly message: string
  readonly lastTransitionTime: string
}
interface Status {
  readonly observedGeneration: number
  readonly serves?: { readonly pods: number; readonly serviceAccounts: readonly string[] }
  readonly conditions: readonly [Ready]
}
const status = (name: string) => templates.objects.get(name)?.['status'] as Status | undefined
const ready = (name: string) => status(name)?.conditions[0].reason

test('says whom a template serves, and nothing more as long as nothing changes', async () => {
  const { soon, source } = await keep()
  putTemplate('cart', { serviceAccounts: ['cart'] })
  putPod('cart-0', 'cart')
  putPod('other', 'cart', { emptyDir: {} })
  await expect
    .poll(
      soon(() => status('cart')?.serves),
      WAIT,
    )
    .toEqual({ pods: 1, serviceAccounts: ['shop/cart'] })
  expect(status('cart')).toMatchObject({ observedGeneration: 1, conditions: [{ type: 'Ready', status: 'True' }] })
  const written = templates.patches.length
  await expect
    .poll(
      soon(() => source.statuses()[0]?.reason),
      WAIT,
    )
    .toBe('Valid')
  for (let round = 0; round < 10; round += 1)
    await expect
      .poll(
        soon(() => true),
        WAIT,
      )
      .toBe(true)
  expect(templates.patches).toHaveLength(written)
})

test('follows edits and pods; when Ready last changed stays as long as it has not', async () => {
  const { soon } = await keep()
  putTemplate('cart', { serviceAccounts: ['cart'] })
  await expect
    .poll(
      soon(() => ready('cart')),
      WAIT,
    )
    .toBe('NoMatch')
  const since = status('cart')?.conditions[0].lastTransitionTime
  putPod('cart-0', 'cart')
  await expect
    .poll(
      soon(() => ready('cart')),
      WAIT,
    )
    .toBe('Valid')
  expect(status('cart')?.conditions[0].lastTransitionTime).toBe(since)
  putTemplate('cart', { serviceAccounts: ['cart'], ttl: '25h' })
  await expect
    .poll(
      soon(() => ready('cart')),
      WAIT,
    )
    .toBe('Invalid')
  expect(status('cart')).toMatchObject({ observedGeneration: 2, serves: { pods: 1 } })
  expect(status('cart')?.conditions[0]).toMatchObject({
    status: 'False',
    message:
      'spec.ttl: 1d1h is not within issuance.minTtl 5m and issuance.maxTtl 1d. The last good version stays in force until this is corrected.',
  })
  expect(status('cart')?.conditions[0].lastTransitionTime).not.toBe(since)
})

test('two templates that claim one pod both say so, until one of them yields', async () => {
  const { soon } = await keep()
  putTemplate('a', { serviceAccounts: ['cart'] })
  putTemplate('b', { namespaceSelector: { matchLabels: { team: 'blue' } } })
  putPod('cart-0', 'cart')
  await expect
    .poll(
      soon(() => [ready('a'), ready('b')]),
      WAIT,
    )
    .toEqual(['Conflict', 'Conflict'])
  expect(status('a')?.conditions[0].message).toContain('IdentityTemplate b selects pod shop/cart-0, too')
  putTemplate('b', { namespaceSelector: { matchLabels: { team: 'red' } } })
  await expect
    .poll(
      soon(() => [ready('a'), ready('b')]),
      WAIT,
    )
    .toEqual(['Valid', 'NoMatch'])
  namespaces.put({ metadata: { name: 'shop', labels: { team: 'red' } } })
  await expect
    .poll(
      soon(() => [ready('a'), ready('b')]),
      WAIT,
    )
    .toEqual(['Conflict', 'Conflict'])
})

test.for(['/api/v1/pods', '/api/v1/namespaces'])('without the rule for %s the rest is said', async (path) => {
  fake.fault = (asked) => (asked.startsWith(`${path}?`) ? { status: 403, body: '{}' } : undefined)
  const { soon, problems } = await keep()
  putTemplate('cart', {})
  await expect
    .poll(
      soon(() => ready('cart')),
      WAIT,
    )
    .toBe('Valid')
  expect(status('cart')?.serves).toBeUndefined()
  const rule = `rbac/list/core/${path.split('/').at(-1)}/*`
  expect(problems.list().map(({ key }) => key)).toContain(rule)
  fake.fault = undefined
  await expect
    .poll(
      soon(() => status('cart')?.serves),
      WAIT,
    )
    .toEqual({ pods: 0, serviceAccounts: [] })
  expect(problems.list()).toEqual([])
})

test('without the rule to write the status it goes on looking, and writes once it may', async () => {
  fake.fault = (_, method) => (method === 'PATCH' ? { status: 403, body: '{}' } : undefined)
  const { soon, problems, source, failed } = await keep()
  putTemplate('cart', { serviceAccounts: ['x'] })
  await expect
    .poll(
      soon(() => source.statuses()[0]?.reason),
      WAIT,
    )
    .toBe('NoMatch')
  await expect
    .poll(
      soon(() => problems.list().map(({ key }) => key)),
      WAIT,
    )
    .toEqual(['rbac/patch/countersign.dev/identitytemplates/status/*'])
  expect(failed[0]).toMatchObject({ code: 'kubernetes_forbidden' })
  fake.fault = undefined
  await expect
    .poll(
      soon(() => ready('cart')),
      WAIT,
    )
    .toBe('NoMatch')
})

test('while hundreds are being written, it is looked again all the same', async () => {
  const { clock, reviews, soon } = await keep()
  for (let index = 0; index < 400; index += 1) {
    putTemplate(`t-${index}`, { serviceAccounts: [`sa-${index}`], spiffeId: `spiffe://prod.example/t/${index}` })
  }
  await expect
    .poll(
      soon(() => reviews.at(-1)?.length),
      WAIT,
    )
    .toBe(400)
  putPod('cart-0', 'sa-0')
  const began = clock.monotonicMs()
  const served = () => reviews.at(-1)?.find(({ name }) => name === 't-0')?.serves?.pods
  await expect.poll(soon(served), WAIT).toBe(1)
  // Thirty seconds of writes were ahead.
  expect(clock.monotonicMs() - began).toBeLessThan(20_000)
})

test('three hundred templates are written at a bounded rate, all of them', async () => {
  const { soon, clock } = await keep()
  const beganAtMs = clock.monotonicMs()
  for (let index = 0; index < 300; index += 1) putTemplate(`t${index}`, { serviceAccounts: [`a${index}`] })
  await expect
    .poll(
      soon(() => templates.patches.length),
      WAIT,
    )
    .toBeGreaterThanOrEqual(300)
  expect(clock.monotonicMs() - beganAtMs).toBeGreaterThanOrEqual(20_000)
})

test.for([
  { name: 'without a volume of ours', pod: { spec: { volumes: [{ csi: { driver: 'other' } }] } } },
  { name: 'without volumes', pod: { spec: {} } },
  { name: 'that has ended', pod: { spec: { volumes: [VOLUME] }, status: { phase: 'Succeeded' } } },
  { name: 'that has failed', pod: { spec: { volumes: [VOLUME] }, status: { phase: 'Failed' } } },
])('keeps nothing of a pod $name', ({ pod }) => {
  expect(readPod({ metadata: { name: 'a', namespace: 'b' }, ...pod })).toBeUndefined()
})

test('keeps few facts of a pod', () => {
  const metadata = { name: 'a', namespace: 'b', labels: { app: 'x' }, managedFields: [{}], annotations: { y: 'z' } }
  expect(readPod({ metadata, spec: { volumes: [VOLUME] }, status: { phase: 'Running' } } as never)).toEqual({
    namespace: 'b',
    name: 'a',
    serviceAccount: 'default',
    labels: new Map([['app', 'x']]),
  })
})

test('keeps none of the labels of a pod that has a megabyte of them', () => {
  const labels = Object.fromEntries(Array.from({ length: 3000 }, (_, index) => [`${'a'.repeat(250)}/${index}`, 'x']))
  const pod = { metadata: { name: 'a', namespace: 'b', labels }, spec: { volumes: [VOLUME] } }
  expect(readPod(pod as never)).toMatchObject({ name: 'a', labels: undefined })
})

test('a pod or a namespace with more labels than are read is served by no template that asks for them', async () => {
  const { reviews, soon } = await keep()
  const labels = Object.fromEntries(Array.from({ length: 600 }, (_, index) => [`l${index}`, 'x']))
  const spec = { serviceAccountName: 'cart', volumes: [VOLUME] }
  namespaces.put({ metadata: { name: 'large', labels } })
  pods.put({ metadata: { name: 'a', namespace: 'large', labels: {} }, spec })
  pods.put({ metadata: { name: 'b', namespace: 'shop', labels }, spec })
  pods.put({ metadata: { name: 'c', namespace: 'shop', labels: {} }, spec })
  const lacks = (key: string) => ({ matchExpressions: [{ key, operator: 'DoesNotExist' }] })
  putTemplate('by-pod', { podSelector: lacks('l599') })
  const serves = () => reviews.at(-1)?.map((one) => one.serves?.pods)
  await expect.poll(soon(serves), WAIT).toEqual([2])
  templates.delete('by-pod')
  putTemplate('by-namespace', { namespaceSelector: lacks('l599') })
  await expect.poll(soon(serves), WAIT).toEqual([2])
  templates.delete('by-namespace')
  putTemplate('by-account', { serviceAccounts: ['cart'] })
  await expect.poll(soon(serves), WAIT).toEqual([3])
})

test('a status has whole seconds, as Kubernetes writes them', () => {
  const state = { name: 'a', generation: 2, ready: true, reason: 'Valid', message: 'x', serves: undefined }
  const at = statusOf(state, {}, new Date('2026-01-01T10:00:00.123Z'))
  expect(at.conditions?.[0]?.lastTransitionTime).toBe('2026-01-01T10:00:00Z')
})
