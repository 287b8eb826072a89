import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { Clock } from '../core/runtime/clock.ts'
import { systemClock } from '../core/runtime/system-clock.ts'
import { FakeClock } from './fakes/fake-clock.ts'
import type { FakeCollection } from './fakes/fake-kubernetes-collection.ts'
import { FakeKubernetes, type Fault } from './fakes/fake-kubernetes.ts'
import { type CollectionUnderTest, describeWatchedList, follow } from './watched-list-behaviour.ts'

const PATH = '/api/v1/namespaces/shop/configmaps'
const WAIT = { timeout: 15_000, interval: 20 }
/** Tries again soon, however long it was told to wait: nobody learns from the seconds. */
const impatient: Clock = {
  now: () => systemClock.now(),
  monotonicMs: () => systemClock.monotonicMs(),
  sleep: (milliseconds, signal) => systemClock.sleep(Math.min(milliseconds, 50), signal),
}
let fake: FakeKubernetes
let collection: FakeCollection

beforeAll(async () => {
  fake = await FakeKubernetes.start()
})
afterEach(() => {
  fake.fault = undefined
})
afterAll(() => fake.stop())

function open(): CollectionUnderTest {
  collection = fake.serve(PATH)
  return {
    kubeconfig: fake.adminKubeconfig,
    path: PATH,
    write: (name, value) => Promise.resolve(void put(name, value)),
    remove: (name) => Promise.resolve(collection.delete(name, 'shop')),
  }
}
const put = (name: string, value: string) => collection.put({ metadata: { name, namespace: 'shop' }, data: { value } })

describeWatchedList(open)

/** A list that follows a collection of one object. */
async function following() {
  const opened = open()
  put('a', '1')
  const followed = await follow(opened, { pauses: impatient })
  await expect.poll(() => collection.openWatches, WAIT).toBe(1)
  return { ...followed, lists: collection.lists }
}

test.for([
  { name: 'a connection lost in the middle of a line', breaks: () => cutWithin('{"type":"MODIFIED","obj'), relists: 0 },
  { name: 'a watch that ends after its time', breaks: () => collection.endWatches(), relists: 0 },
  { name: 'all connections closed', breaks: () => fake.dropConnections(), relists: 0 },
  { name: 'a line that is no JSON', breaks: () => collection.sendRaw('<html>\n'), relists: 1 },
  {
    name: 'an event that nobody knows',
    breaks: () => collection.sendRaw('{"type":"MOVED","object":{}}\n'),
    relists: 1,
  },
  {
    name: 'an object without a name',
    breaks: () => collection.sendRaw('{"type":"ADDED","object":{"metadata":{"resourceVersion":"9"}}}\n'),
    relists: 1,
  },
  { name: 'an ERROR', breaks: () => collection.sendRaw('{"type":"ERROR","object":{"code":500}}\n'), relists: 1 },
  {
    name: 'a version that was forgotten',
    breaks: () => {
      collection.forget()
      collection.endWatches()
    },
    relists: 1,
  },
])('goes on after $name, and misses nothing', async ({ breaks, relists }) => {
  const { values, lists } = await following()
  breaks()
  put('b', '1')
  collection.delete('a', 'shop')
  await expect.poll(values, WAIT).toEqual(['b=1'])
  await expect.poll(() => collection.openWatches, WAIT).toBe(1)
  put('b', '2')
  await expect.poll(values, WAIT).toEqual(['b=2'])
  expect(collection.lists - lists).toBe(relists)
})

function cutWithin(text: string): void {
  collection.sendRaw(text)
  collection.endWatches('cut')
}

test('a bookmark spares the list: the past before it is not asked for again', async () => {
  const { lists, values } = await following()
  collection.forget()
  collection.bookmark()
  put('b', '1')
  await expect.poll(values, WAIT).toEqual(['a=1', 'b=1'])
  collection.endWatches()
  await expect.poll(() => collection.openWatches, WAIT).toBe(1)
  expect(collection.lists).toBe(lists)
})

const FORBIDDEN = { status: 403, body: '{}' }
test.for([
  {
    name: '429 with Retry-After',
    fault: { status: 429, headers: { 'retry-after': '1' } },
    code: 'kubernetes_unavailable',
  },
  { name: '500', fault: { status: 500 }, code: 'kubernetes_unavailable' },
  { name: '401', fault: { status: 401 }, code: 'kubernetes_unavailable' },
  { name: '403 and then granted', fault: FORBIDDEN, code: 'kubernetes_forbidden' },
  { name: '404: no CRD yet', fault: { status: 404 }, code: 'kubernetes_unavailable' },
  { name: '410 to a list', fault: { status: 410 }, code: 'kubernetes_unavailable' },
  { name: 'a list that is none', fault: { status: 200, body: '{"metadata":{}}' }, code: 'kubernetes_unavailable' },
  { name: 'a list of nameless things', fault: { status: 200, body: '{"items":[{}]}' }, code: 'kubernetes_unavailable' },
  { name: 'a reset', fault: 'reset' as const, code: 'kubernetes_unavailable' },
] satisfies { name: string; fault: Fault; code: string }[])('starts after $name', async ({ fault, code }) => {
  const opened = open()
  put('a', '1')
  fake.fault = (path) => (path.startsWith(PATH) ? fault : undefined)
  const { values, troubles, list } = await follow(opened, { pauses: impatient })
  await expect.poll(() => troubles.at(0)?.code, WAIT).toBe(code)
  expect(list.hasSynced).toBe(false)
  fake.fault = undefined
  await expect.poll(values, WAIT).toEqual(['a=1'])
  await expect.poll(() => troubles.at(-1), WAIT).toBeUndefined()
})

test('keeps what it knows while the server is away, and catches up', async () => {
  const { values, troubles } = await following()
  fake.fault = () => 'reset'
  fake.dropConnections()
  put('a', '2')
  await expect.poll(() => troubles.filter((trouble) => trouble).length, WAIT).toBeGreaterThan(1)
  expect(values()).toEqual(['a=1'])
  fake.fault = undefined
  await expect.poll(values, WAIT).toEqual(['a=2'])
})

test('a connection that has stalled is given up after two bookmarks that did not come', async () => {
  const clock = new FakeClock()
  const opened = open()
  put('a', '1')
  const { values, troubles } = await follow(opened, { clock })
  await expect.poll(() => collection.openWatches, WAIT).toBe(1)
  // A change that the dead connection does not carry.
  const stalled = collection.stallWatches()
  put('a', '2')
  await expect
    .poll(async () => {
      await clock.advance(30_000)
      return values()
    }, WAIT)
    .toEqual(['a=2'])
  expect(troubles.find((trouble) => trouble)?.message).toContain('nothing came for 150000 ms')
  stalled()
})

test.for(['a list', 'a watch'])('a server that hangs over %s is given up, and asked again', async (what) => {
  const clock = new FakeClock()
  const opened = open()
  put('a', '1')
  let hung = 0
  fake.fault = (path) => {
    const hangs = path.startsWith(PATH) && path.includes('watch=true') === (what === 'a watch')
    if (hangs) hung += 1
    return hangs ? 'hang' : undefined
  }
  const { values, troubles } = await follow(opened, { clock })
  await expect.poll(() => hung, WAIT).toBe(1)
  const passing = async () => {
    await clock.advance(5_000)
    return troubles.at(-1)?.message
  }
  await expect.poll(passing, WAIT).toContain('does not answer in time')
  fake.fault = undefined
  await expect.poll(() => passing().then(() => collection.openWatches), WAIT).toBe(1)
  expect(values()).toEqual(['a=1'])
})

test('a page that is too large to read is asked for in smaller ones', async () => {
  const opened = open()
  for (const name of ['a', 'b', 'c']) put(name, 'x'.repeat(1_500_000))
  const { values } = await follow(opened, { pageSize: 100 })
  await expect.poll(() => values().length, WAIT).toBe(3)
})

test('pages grow again after objects that were large', async () => {
  const opened = open()
  for (const name of ['a', 'b', 'c']) put(name, 'x'.repeat(1_500_000))
  for (let index = 0; index < 300; index += 1) put(`small-${index}`, '1')
  const before = collection.lists
  const { values } = await follow(opened, { pageSize: 100 })
  await expect.poll(() => values().length, WAIT).toBe(303)
  expect(collection.lists - before).toBeLessThan(50)
})

test('a collection of which more bytes would be kept is not followed, and says so', async () => {
  const opened = open()
  const MIB = 1024 * 1024
  put('a', 'x'.repeat(0.75 * MIB))
  const bytes = { of: (value: string) => value.length, max: MIB }
  const { values, troubles } = await follow(opened, { bytes, pauses: impatient })
  await expect.poll(() => collection.openWatches, WAIT).toBe(1)
  put('b', 'x'.repeat(0.75 * MIB))
  await expect.poll(() => troubles.at(-1)?.message, WAIT).toContain('more than 1 MiB')
  expect(values()).toHaveLength(1)
  put('a', '1')
  await expect.poll(() => values().length, WAIT).toBe(2)
  await expect.poll(() => troubles.at(-1), WAIT).toBeUndefined()
})
