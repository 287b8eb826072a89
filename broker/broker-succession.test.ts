import { afterEach, expect, test } from 'vitest'
import { FakeClock } from '../test/fakes/fake-clock.ts'
import { attestedNode, connectTo, type NodeConnection } from '../test/fakes/node-client.ts'
import { auditRecords } from '../test/fakes/audit-records.ts'
import { brokerFolder, runningBroker } from '../test/fakes/running-broker.ts'

const OPTIONS = { timeoutMs: 5000 }
const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

const ask = ({ service }: NodeConnection) => service.issueX509Svids({ requests: [] }, OPTIONS)

async function synced({ service }: NodeConnection) {
  const { send, responses } = service.sync()
  const iterator = responses[Symbol.asyncIterator]()
  send({ message: { case: 'hello', value: {} } })
  await iterator.next()
  return iterator
}

test('the agent of a node that is gone is nobody once another node that bears its name was attested', async () => {
  const clock = new FakeClock(new Date().toISOString())
  const folder = brokerFolder(clock)
  const broker = await runningBroker({ folder, environment: { clock } })
  cleanups.push(() => broker.stop())
  const opened = <T extends NodeConnection>(connection: T): T => {
    cleanups.push(() => connection.close())
    return connection
  }
  const first = opened(await attestedNode(broker, folder, 'node-a', 'uid-1'))
  const stream = await synced(first)
  const ended = stream.next().catch((error: { code: string }) => error.code)

  // SVIDs tell seconds apart.
  clock.jump(2000)
  const second = opened(await attestedNode(broker, folder, 'node-a', 'uid-2'))
  await synced(second)
  expect(await ended).toBe('broker_unavailable')

  const back = opened(connectTo(broker, folder, first.identity))
  await expect(ask(back)).rejects.toMatchObject({ code: 'agent_certificate_invalid' })
  await expect(synced(back)).rejects.toMatchObject({ code: 'agent_certificate_invalid' })
  // Nobody is asked for in vain: that alone is what is wrong with it.
  await expect(ask(second)).rejects.toMatchObject({ code: 'request_invalid' })
  const other = opened(await attestedNode(broker, folder, 'node-b', 'uid-1'))
  await expect(ask(other)).rejects.toMatchObject({ code: 'request_invalid' })

  await broker.stop()
  const refused = auditRecords(folder.ledgerFile).filter(({ event }) => event === 'caller_refused')
  expect(JSON.stringify(refused)).toContain('another node bears the name node-a now')
})
