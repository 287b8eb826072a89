import { Writable } from 'node:stream'
import { beforeEach, expect, test } from 'vitest'
import { IdentityError } from '../core/runtime/errors.ts'
import { createLog } from '../core/runtime/log.ts'
import { FakeClock } from '../test/fakes/fake-clock.ts'
import { Observation } from './observe.ts'

const REFUSED = 'countersign_agent_workload_api_connections_refused_total'
const pod = (podName: string) => ({ podUid: `uid-${podName}`, podName, namespace: 'shop', serviceAccount: 'cart' })

let lines: Record<string, unknown>[]
let clock: FakeClock
let observation: Observation

beforeEach(() => {
  lines = []
  clock = new FakeClock()
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(JSON.parse(chunk.toString()) as Record<string, unknown>)
      done()
    },
  })
  observation = new Observation(createLog('agent', 'info', sink), clock)
})

const counted = async () =>
  (await observation.registry.getSingleMetricAsString(REFUSED)).split('\n').filter((line) => !line.startsWith('#'))

test('each connection that is refused is counted; its pod is named once a minute', async () => {
  for (let count = 0; count < 3; count += 1) observation.connectionRefused(pod('greedy'), 'bytes')
  observation.connectionRefused(pod('other'), 'rate')
  expect(await counted()).toEqual([`${REFUSED}{limit="bytes"} 3`, `${REFUSED}{limit="rate"} 1`])
  expect(lines).toMatchObject([
    { level: 'warn', limit: 'bytes', pod: { namespace: 'shop', podName: 'greedy' } },
    { level: 'warn', limit: 'rate', pod: { podName: 'other' } },
  ])
  await clock.advance(60_000)
  observation.connectionRefused(pod('greedy'), 'bytes')
  expect(lines).toHaveLength(3)
})

test('where all pods together have too many connections, none is named', () => {
  observation.connectionRefused(pod('honest'), 'node')
  observation.connectionRefused(pod('another'), 'node')
  expect(lines).toHaveLength(1)
  expect(JSON.stringify(lines)).not.toContain('honest')
})

test('a volume that keeps the node from acknowledging is named, with why', () => {
  observation.heldUp('v1', pod('cart-0'), new IdentityError('volume_full', 'the volume is full'))
  expect(lines).toMatchObject([{ level: 'error', workload: 'v1', pod: { podName: 'cart-0' }, code: 'volume_full' }])
})
