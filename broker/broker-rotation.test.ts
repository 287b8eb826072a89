import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { auditRecords } from '../test/fakes/audit-records.ts'
import { attestedNode } from '../test/fakes/node-client.ts'
import { brokerFolder, runningBroker } from '../test/fakes/running-broker.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

const SHORT = { minTtl: '2s', defaultTtl: '3s', maxTtl: '3s', agentTtl: '4s' }

async function metric(port: number, name: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  const line = text.split('\n').find((other) => other.startsWith(`countersign_broker_${name} `))
  return Number(line?.split(' ').at(-1) ?? NaN)
}

test('a new authority signs only once the connected agent has acknowledged its bundle, and a metric tells who is waited for', async () => {
  const folder = brokerFolder()
  const broker = await runningBroker({
    folder,
    change: {
      issuance: SHORT,
      authority: {
        wrappingKeyFile: join(folder.directory, 'wrapping.key'),
        lifetime: '8s',
        activationLeastDelay: '1500ms',
        activationDeadline: '100ms',
      },
    },
  })
  cleanups.push(() => broker.stop())
  const sequence = () => metric(broker.operationsPort, 'bundle_sequence')
  const before = await sequence()
  // An agent that attests once the next authority is prepared; what it was given it has not acknowledged yet.
  await expect.poll(sequence, { timeout: 10_000 }).toBeGreaterThan(before)
  const node = await attestedNode(broker, folder)
  cleanups.push(() => node.close())
  const { send, responses } = node.service.sync()
  const iterator = responses[Symbol.asyncIterator]()
  send({ message: { case: 'hello', value: { bundleSequence: 0n } } })
  const { value: state } = await iterator.next()
  expect(state.state.value.own.x509Authorities).toHaveLength(2)
  await expect.poll(() => metric(broker.operationsPort, 'authority_waiting_nodes'), { timeout: 3000 }).toBe(1)
  send({ message: { case: 'acknowledgement', value: { kind: state.kind, revision: state.revision } } })
  await expect.poll(() => metric(broker.operationsPort, 'authority_waiting_nodes'), { timeout: 5000 }).toBe(0)
  const activations = 'authority_activations_total{gate="open"}'
  await expect.poll(() => metric(broker.operationsPort, activations), { timeout: 5000 }).toBe(2)
  await broker.stop()
  const steps = auditRecords(folder.ledgerFile).filter(({ event }) => String(event).startsWith('authority_'))
  expect(steps.map(({ event }) => event).slice(0, 4)).toEqual([
    'authority_prepared',
    'authority_activated',
    'authority_prepared',
    'authority_activated',
  ])
  expect(steps.every(({ forced }) => forced === undefined)).toBe(true)
})
