import { afterEach, expect, test } from 'vitest'
import { attestedNode, newCsr, podFacts, tokenFor } from '../test/fakes/node-client.ts'
import { auditRecords } from '../test/fakes/audit-records.ts'
import { brokerConfig, brokerFolder, runningBroker } from '../test/fakes/running-broker.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

async function started(change: Record<string, unknown> = {}) {
  const broker = await runningBroker({ change })
  cleanups.push(() => broker.stop())
  const node = await attestedNode(broker, broker.folder)
  cleanups.push(() => node.close())
  const token = tokenFor(broker.folder, podFacts())
  /** Asks for `count` SVIDs of one pod; the code of each, or `svid`. */
  const ask = async (count: number) => {
    const requests = await Promise.all(
      Array.from({ length: count }, async (_, index) => ({
        requestId: String(index),
        serviceAccountToken: token,
        csr: (await newCsr()).csr,
        podUid: 'pod-uid-1',
      })),
    )
    const { results } = await node.service.issueX509Svids({ requests }, { timeoutMs: 10_000 })
    return results.map(({ outcome }) => (outcome.case === 'refusal' ? outcome.value : outcome.case))
  }
  return { broker, node, ask }
}

test('the tokens of one pod are good for so many SVIDs and no more', async () => {
  const { ask } = await started({ issuance: { perPod: { burst: 3, perSecond: 1 } } })
  const outcomes = await ask(5)
  expect(outcomes.filter((outcome) => outcome === 'svid')).toHaveLength(3)
  expect(outcomes.filter((outcome) => outcome !== 'svid')).toMatchObject([
    { code: 'overloaded', retryAfter: expect.anything() },
    { code: 'overloaded', retryAfter: expect.anything() },
  ])
})

test('a node asks for so many SVIDs and no more', async () => {
  const { ask } = await started({ issuance: { perNode: { burst: 2, perSecond: 1 } } })
  expect((await ask(5)).filter((outcome) => outcome === 'svid')).toHaveLength(2)
})

test('by default a node that asks all day writes about a gigabyte into the ledger, which has two in the chart', async () => {
  const { issuance } = brokerConfig(brokerFolder())
  const bytesOfAnIssuance = 1_200
  expect(issuance.perNode.perSecond * bytesOfAnIssuance * 24 * 3600).toBeLessThan(1.1e9)
  // Two renewals of 250 pods at the shortest life that there is by default.
  expect(issuance.perNode.perSecond).toBeGreaterThan((2 * 250) / (issuance.minTtl / 2 / 1000))
  expect(issuance.perNode.burst).toBeGreaterThan(2 * 250)
})

test('an agent that says of too many SVIDs at once that they have ended loses its stream, and the ledger does not grow', async () => {
  const { broker, node } = await started()
  const { send, responses } = node.service.sync()
  const over = (async () => {
    for await (const _ of responses);
  })()
  send({ message: { case: 'hello', value: { agentVersion: 'x', bundleSequence: 0n } } })
  const serialNumbers = Array.from({ length: 1000 }, (_, index) => index.toString(16))
  send({ message: { case: 'ended', value: { serialNumbers } } })
  send({ message: { case: 'ended', value: { serialNumbers: [...serialNumbers, 'ffff'] } } })
  await expect(over).rejects.toMatchObject({ code: 'request_invalid' })
  await broker.stop()
  expect(auditRecords(broker.folder.ledgerFile).filter(({ event }) => event === 'svids_ended')).toEqual([])
})
