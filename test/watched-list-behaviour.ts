import { afterEach, expect, test } from 'vitest'
import { ApiConnection } from '../broker/kubernetes/api-connection.ts'
import { loadCredentials } from '../broker/kubernetes/credentials.ts'
import { WatchedList, type WatchedListOptions } from '../broker/kubernetes/watched-list.ts'
import type { Clock } from '../core/runtime/clock.ts'
import type { IdentityError } from '../core/runtime/errors.ts'
import { systemRandom } from '../core/runtime/random.ts'
import { systemClock } from '../core/runtime/system-clock.ts'

/** A collection of ConfigMaps, fake or real. */
export interface CollectionUnderTest {
  readonly kubeconfig: string
  readonly path: string
  write(name: string, value: string): Promise<void>
  remove(name: string): Promise<void>
}

interface ConfigMap {
  readonly metadata: { readonly name: string }
  readonly data?: { readonly value?: string }
}

const WAIT = { timeout: 20_000, interval: 50 }
const stops: (() => Promise<void>)[] = []

/** Follows the collection until the test ends; `name=value` of each ConfigMap whose value is not `hidden`. */
export async function follow(
  { kubeconfig, path }: CollectionUnderTest,
  {
    pageSize = 2,
    maxItems = 1000,
    bytes,
    clock = systemClock,
    pauses = clock,
  }: {
    pageSize?: number
    maxItems?: number
    bytes?: WatchedListOptions<string>['bytes']
    clock?: Clock
    pauses?: Clock
  } = {},
) {
  const server = await loadCredentials({ kubeconfig })
  const api = new ApiConnection(server, { clock, maxConnections: 4 })
  const troubles: (IdentityError | undefined)[] = []
  const list = new WatchedList<string>(
    { api, clock: pauses, random: systemRandom },
    {
      path,
      pageSize,
      maxItems,
      ...(bytes && { bytes }),
      retry: { firstMs: 20, maxMs: 200 },
      transform: (object) => {
        const { metadata, data } = object as ConfigMap
        // The namespace's own, which the real server puts there.
        if (metadata.name === 'kube-root-ca.crt' || data?.value === 'hidden') return undefined
        return `${metadata.name}=${data?.value}`
      },
      onChange: () => {},
      onTrouble: (trouble) => troubles.push(trouble),
    },
  )
  const stopping = new AbortController()
  const running = list.run(stopping.signal)
  stops.push(async () => {
    stopping.abort()
    await running
    api.close()
  })
  return { list, troubles, values: () => [...list.items.values()].toSorted() }
}

/** What following a collection does, whatever server it is of. */
export function describeWatchedList(open: () => CollectionUnderTest): void {
  afterEach(async () => {
    for (const stop of stops.splice(0)) await stop()
  })

  test('lists in pages, then follows what is added, changed, hidden and removed', async () => {
    const collection = open()
    for (const name of ['a', 'b', 'c', 'd', 'e']) await collection.write(name, '1')
    const { list, values } = await follow(collection)
    expect(list.hasSynced).toBe(false)
    await expect.poll(values, WAIT).toEqual(['a=1', 'b=1', 'c=1', 'd=1', 'e=1'])
    expect(list.hasSynced).toBe(true)
    await collection.write('a', '2')
    await collection.write('f', '1')
    await collection.remove('b')
    await collection.write('c', 'hidden')
    await expect.poll(values, WAIT).toEqual(['a=2', 'd=1', 'e=1', 'f=1'])
    for (const name of ['a', 'c', 'd', 'e', 'f']) await collection.remove(name)
    await expect.poll(values, WAIT).toEqual([])
  })

  test('an object as large as the server takes, and six times as large in its JSON, is followed like any other', async () => {
    const collection = open()
    const large = '<'.repeat(1_000_000)
    for (const name of ['a', 'b']) await collection.write(name, large)
    await collection.write('c', '1')
    const { values, list } = await follow(collection, { pageSize: 100 })
    const lengths = () => values().map((value) => value.length)
    await expect.poll(lengths, WAIT).toEqual([1_000_002, 1_000_002, 3])
    expect(list.hasSynced).toBe(true)
    await collection.write('c', large)
    await expect.poll(lengths, WAIT).toEqual([1_000_002, 1_000_002, 1_000_002])
    for (const name of ['a', 'b', 'c']) await collection.remove(name)
    await expect.poll(lengths, WAIT).toEqual([])
  })

  test('a collection with more than is kept is not followed, and says so', async () => {
    const collection = open()
    for (const name of ['a', 'b', 'c']) await collection.write(name, '1')
    const { troubles, list } = await follow(collection, { maxItems: 2 })
    await expect.poll(() => troubles.at(-1)?.message, WAIT).toContain('more than 2 objects')
    expect(list.hasSynced).toBe(false)
    for (const name of ['a', 'b', 'c']) await collection.remove(name)
  })
}
