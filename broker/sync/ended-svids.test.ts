import { expect, test } from 'vitest'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { EndedSvids } from './ended-svids.ts'

function ended() {
  const told: [string, number][] = []
  const clock = new FakeClock()
  const svids = new EndedSvids({ end: (node, serials) => void told.push([node, serials.length]) }, clock)
  return { svids, told, clock }
}
const serials = (count: number) => Array.from({ length: count }, (_, index) => index.toString(16))

test('a message holds a thousand serial numbers', () => {
  const { svids, told } = ended()
  svids.end('node-a', serials(1000))
  expect(() => svids.end('node-a', serials(1001))).toThrow(expect.objectContaining({ code: 'request_invalid' }))
  svids.end('node-a', [])
  expect(told).toEqual([['node-a', 1000]])
})

test('a node that sends more than it can have held is told to wait, and another is not', async () => {
  const { svids, told, clock } = ended()
  for (let message = 0; message < 20; message += 1) svids.end('node-a', serials(1000))
  expect(() => svids.end('node-a', serials(1000))).toThrow(
    expect.objectContaining({ code: 'overloaded', retryAfterMs: 5000 }),
  )
  svids.end('node-b', serials(1000))
  await clock.advance(5000)
  svids.end('node-a', serials(1000))
  expect(told).toHaveLength(22)
})
