import { fromBinary } from '@bufbuild/protobuf'
import { timestampDate } from '@bufbuild/protobuf/wkt'
import { beforeEach, describe, expect, test } from 'vitest'
import { RevisionKind, SyncResponseSchema } from '../../proto/gen/countersign/node/v1/node_pb.ts'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { SyncHub } from './sync-hub.ts'

const { BUNDLES, PEERS } = RevisionKind
const HOUR = 3_600_000
let clock: FakeClock
let hub: SyncHub

beforeEach(() => {
  clock = new FakeClock('2026-01-01T00:00:00Z')
  hub = new SyncHub(clock)
})

const publish = (revision: bigint, kind: RevisionKind = BUNDLES) =>
  hub.publish({ kind, revision, state: { case: 'bundles', value: { own: { trustDomain: 'prod.example' } } } })

function open(nodeName = 'node-a', signal = new AbortController().signal) {
  return hub.open({ nodeName, notAfter: new Date(clock.now().getTime() + HOUR) }, signal)
}

const decoded = (result: IteratorResult<{ bytes: Buffer }>) =>
  fromBinary(SyncResponseSchema, result.value.bytes as Buffer)

test('a stream begins with the state as it is, and hears of each change', async () => {
  publish(1n)
  const stream = open()
  expect(decoded(await stream.next())).toMatchObject({ kind: BUNDLES, revision: 1n })
  const next = stream.next()
  publish(2n)
  expect(decoded(await next)).toMatchObject({ revision: 2n })
  await stream.return(undefined)
  expect(hub.streams).toBe(0)
})

test('who is slow gets the latest state of each kind, and nothing piles up', async () => {
  const stream = open()
  const first = stream.next()
  publish(1n)
  await first
  for (let revision = 2n; revision <= 1000n; revision += 1n) publish(revision)
  publish(7n, PEERS)
  expect(decoded(await stream.next())).toMatchObject({ kind: BUNDLES, revision: 1000n })
  expect(decoded(await stream.next())).toMatchObject({ kind: PEERS, revision: 7n })
})

test('what a node acknowledged is not what another by its name has enforced', async () => {
  publish(1n)
  for (const nodeName of ['node-a', 'node-b']) hub.acknowledge(nodeName, BUNDLES, 1n)
  hub.forget('node-a')
  expect(hub.unacknowledged(BUNDLES, 1n, ['node-a', 'node-b'])).toEqual(['node-a'])
})

test('one message is encoded once for all streams', async () => {
  const streams = [open('node-a'), open('node-b')]
  const results = Promise.all(streams.map((stream) => stream.next()))
  publish(1n)
  const [one, other] = await results
  expect(one?.value).toBe(other?.value)
})

test('a stream that begins later has a fresh server time, to measure skew by', async () => {
  publish(1n)
  await clock.advance(HOUR)
  const { serverTime } = decoded(await open().next())
  expect(serverTime && timestampDate(serverTime)).toEqual(clock.now())
})

describe('a stream ends', () => {
  test("at the agent's notAfter", async () => {
    publish(1n)
    const stream = open()
    await stream.next()
    const end = stream.next().catch((error: { code: string }) => error.code)
    await clock.advance(HOUR - 1)
    expect(hub.streams).toBe(1)
    await clock.advance(1)
    expect(await end).toBe('agent_certificate_expired')
    expect(hub.streams).toBe(0)
  })

  test('soon after the wall clock has jumped past it', async () => {
    publish(1n)
    const stream = open()
    await stream.next()
    const end = stream.next().catch((error: { code: string }) => error.code)
    clock.jump(2 * HOUR)
    await clock.advance(60_000)
    expect(await end).toBe('agent_certificate_expired')
  })

  test('invariant 7: with Unavailable as the broker stops, and none begins after', async () => {
    publish(1n)
    const stream = open()
    await stream.next()
    const end = stream.next().catch((error: { code: string }) => error.code)
    hub.stop()
    expect(await end).toBe('shutting_down')
    await expect(open().next()).rejects.toMatchObject({ code: 'shutting_down' })
  })

  test('for a fifth of its node, the oldest first, whether its end is heard or not; other nodes keep theirs', async () => {
    publish(1n)
    const [half, oldest, ...others] = [open('node-b'), open(), open(), open(), open()]
    for (const stream of [half, oldest, ...others]) await stream?.next()
    // Nobody reads on from the one of node-a that came first: half-dead, or held by somebody who stole its certificate.
    const fifth = open()
    expect(decoded(await fifth.next())).toMatchObject({ revision: 1n })
    expect([hub.streams, hub.connectedNodes]).toEqual([5, 2])
    await expect(oldest?.next()).rejects.toMatchObject({ code: 'overloaded' })
    expect([hub.streams, hub.connectedNodes]).toEqual([5, 2])
    const next = [half, ...others, fifth].map((stream) => stream?.next())
    publish(2n)
    expect(await Promise.all(next)).toHaveLength(5)
  })

  test('when its caller goes', async () => {
    publish(1n)
    const gone = new AbortController()
    const stream = open('node-a', gone.signal)
    await stream.next()
    const end = stream.next().catch((error: Error) => error.message)
    gone.abort(new Error('gone'))
    expect(await end).toBe('gone')
    expect(hub.connectedNodes).toBe(0)
  })
})

describe('acknowledgements', () => {
  const missing = (revision: bigint, ...others: string[]) => hub.unacknowledged(BUNDLES, revision, others).toSorted()

  test('are asked of who is connected and of who holds something, each once', async () => {
    publish(5n)
    const stream = open('node-a')
    await stream.next()
    expect(missing(5n, 'node-a', 'node-b')).toEqual(['node-a', 'node-b'])
    hub.acknowledge('node-a', BUNDLES, 5n)
    expect(missing(5n, 'node-b')).toEqual(['node-b'])
    hub.acknowledge('node-b', BUNDLES, 4n)
    expect(missing(5n, 'node-b')).toEqual(['node-b'])
    // A dead agent drops out by itself once nothing of its node is valid any more.
    expect(missing(5n)).toEqual([])
    await stream.return(undefined)
  })

  test('stay when the stream ends, and never go back', () => {
    publish(5n)
    hub.acknowledge('node-a', BUNDLES, 5n)
    hub.acknowledge('node-a', BUNDLES, 3n)
    expect(missing(5n, 'node-a')).toEqual([])
  })

  test('of what was never sent are not believed', () => {
    publish(5n)
    hub.acknowledge('node-a', BUNDLES, 1000n)
    publish(6n)
    expect(missing(6n, 'node-a')).toEqual(['node-a'])
  })

  test('of a kind that was never published leave nothing behind', () => {
    publish(5n)
    const kept = () => process.memoryUsage().heapUsed
    const before = kept()
    for (let kind = 1_000; kind < 200_000; kind += 1) hub.acknowledge('node-a', kind as RevisionKind, 0n)
    expect(kept() - before).toBeLessThan(16 * 1024 * 1024)
  })

  test('of one kind say nothing about another', () => {
    publish(5n)
    publish(5n, PEERS)
    hub.acknowledge('node-a', PEERS, 5n)
    expect(missing(5n, 'node-a')).toEqual(['node-a'])
  })
})

test('who is connected, since when, and what it says of itself: of its newest stream', async () => {
  publish(5n)
  const begin = clock.now()
  const first = open('node-a')
  await first.next()
  await clock.advance(1000)
  const notAfter = new Date(clock.now().getTime() + HOUR)
  const says = { version: '1.2.3', skewMs: 250 }
  const second = hub.open({ nodeName: 'node-a', notAfter, says }, new AbortController().signal)
  await second.next()
  hub.acknowledge('node-a', BUNDLES, 5n)
  await first.return(undefined)
  expect([...hub.agents()]).toEqual([['node-a', { nodeName: 'node-a', notAfter, says, since: begin }]])
  expect([hub.enforced(BUNDLES, 'node-a'), hub.enforced(PEERS, 'node-a'), hub.enforced(BUNDLES, 'x')]).toEqual([5n, 0n, 0n]) // prettier-ignore
  await second.return(undefined)
  expect(hub.agents().size).toBe(0)
})

test('a caller that has gone before its stream begins leaves none behind', async () => {
  publish(1n)
  await expect(open('node-a', AbortSignal.abort(new Error('gone'))).next()).rejects.toThrow('gone')
  expect([hub.streams, hub.connectedNodes]).toEqual([0, 0])
})
