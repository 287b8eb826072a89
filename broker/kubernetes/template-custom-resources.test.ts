import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import type { IdentityError } from '../../core/runtime/errors.ts'
import { systemRandom } from '../../core/runtime/random.ts'
import { systemClock } from '../../core/runtime/system-clock.ts'
import type { FakeCollection } from '../../test/fakes/fake-kubernetes-collection.ts'
import { FakeKubernetes } from '../../test/fakes/fake-kubernetes.ts'
import { describeTemplateSource, RULES } from '../registration/template-source.contract.ts'
import { ApiConnection } from './api-connection.ts'
import { loadCredentials } from './credentials.ts'
import { TemplateCustomResources, TEMPLATES_PATH } from './template-custom-resources.ts'

let fake: FakeKubernetes
let collection: FakeCollection
const stops: (() => Promise<void>)[] = []
beforeAll(async () => {
  fake = await FakeKubernetes.start()
})
afterEach(async () => {
  fake.fault = undefined
  for (const stop of stops.splice(0)) await stop()
})
afterAll(() => fake.stop())

const put = (name: string, spec: object, more: object = {}) => collection.put({ metadata: { name }, spec, ...more })

async function follow(templates: Record<string, object>) {
  collection = fake.serve(TEMPLATES_PATH)
  for (const [name, spec] of Object.entries(templates)) put(name, spec)
  const server = await loadCredentials({ kubeconfig: fake.adminKubeconfig })
  const api = new ApiConnection(server, { clock: systemClock, maxConnections: 4 })
  const troubles: (IdentityError | undefined)[] = []
  const source = new TemplateCustomResources({
    ...{ api, clock: systemClock, random: systemRandom, rules: RULES },
    onChange: () => {},
    onTrouble: (trouble) => troubles.push(trouble),
  })
  stops.push(async () => {
    await source.close()
    api.close()
  })
  return { source, troubles }
}

describeTemplateSource(async (templates) => {
  const { source } = await follow(templates)
  await vi.waitUntil(() => source.notReady() === undefined)
  return {
    source,
    write: (name, spec) => Promise.resolve(void put(name, spec)),
    remove: (name) => Promise.resolve(collection.delete(name)),
  }
})

test('before they have been read nobody is served, and the reason is known', async () => {
  fake.fault = (path) => (path.startsWith(TEMPLATES_PATH) ? { status: 403, body: '{}' } : undefined)
  const { source, troubles } = await follow({})
  await expect.poll(() => troubles.length).toBe(1)
  expect(() => source.current()).toThrow(expect.objectContaining({ code: 'kubernetes_unavailable' }))
  expect(source.notReady()).toContain('list identitytemplates (countersign.dev)')
  fake.fault = undefined
  await expect.poll(() => source.notReady(), { timeout: 5000 }).toBeUndefined()
  expect(source.current()).toEqual([])
})

test('what was read stays in force while the API server is away', async () => {
  const { source, troubles } = await follow({ a: {} })
  await expect.poll(() => collection.openWatches).toBe(1)
  fake.fault = () => 'reset'
  fake.dropConnections()
  await expect.poll(() => troubles.at(-1)?.code, { timeout: 5000 }).toBe('kubernetes_unavailable')
  expect(source.current().map(({ name }) => name)).toEqual(['a'])
  expect(source.notReady()).toBeUndefined()
})

test('what the API server adds does not count, and a new status is no new template', async () => {
  const { source } = await follow({ a: {} })
  await expect.poll(() => source.notReady()).toBeUndefined()
  const before = source.current()
  put('a', {}, { status: { observedGeneration: 1 } })
  await expect.poll(() => source.objects[0]?.status).toEqual({ observedGeneration: 1 })
  expect(source.current()).toBe(before)
  expect(before).toHaveLength(1)
})

test.for([
  { name: 'its selectors', spec: { ttl: '1s', serviceAccounts: ['shop/cart'] }, claims: ['shop/cart'] },
  {
    name: 'its selectors, where an older definition let it in',
    spec: {
      spiffeId: 'spiffe://{{ trustDomain }}/{{ namespace }}-{{ serviceAccount }}',
      serviceAccounts: ['shop/cart'],
    },
    claims: ['shop/cart'],
  },
  { name: 'everything, where its selectors are wrong too', spec: { serviceAccounts: [1] }, claims: undefined },
])('one that was never good claims $name', async ({ spec, claims }) => {
  const { source } = await follow({ a: spec })
  await expect.poll(() => source.notReady()).toBeUndefined()
  expect(source.current()).toMatchObject([{ name: 'a', unusable: expect.any(String) as unknown }])
  expect(source.current()[0]?.serviceAccounts).toEqual(claims)
})

test('one that was deleted and made anew does not go on with what was good before', async () => {
  const { source } = await follow({ a: { ttl: '30m' } })
  await expect.poll(() => source.notReady()).toBeUndefined()
  collection.delete('a')
  collection.put({ metadata: { name: 'a', uid: 'another' }, spec: { ttl: '1s' } })
  await expect.poll(() => source.problems).toHaveLength(1)
  expect(source.current()[0]?.unusable).toContain('spec.ttl')
})
