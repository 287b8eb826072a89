import { afterEach, describe, expect, test } from 'vitest'
import { parseCertificate } from '../core/pki/certificate.ts'
import { RevisionKind } from '../proto/gen/countersign/node/v1/node_pb.ts'
import { attestedNode, connectTo, newCsr, podFacts, tokenFor } from '../test/fakes/node-client.ts'
import { runningBroker } from '../test/fakes/running-broker.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
})

async function start(options: Parameters<typeof runningBroker>[0] = {}) {
  const broker = await runningBroker(options)
  cleanups.push(() => broker.stop())
  return broker
}

test('a node is attested, gets SVIDs for its pods, and is kept in step', async () => {
  const broker = await start()
  const { folder } = broker
  const node = await attestedNode(broker, folder)
  cleanups.push(() => node.close())

  const { csr } = await newCsr()
  const { results, serverTime } = await node.service.issueX509Svids(
    { requests: [{ requestId: 'r1', serviceAccountToken: tokenFor(folder, podFacts()), csr, podUid: 'pod-uid-1' }] },
    { timeoutMs: 5000 },
  )
  expect(results[0]?.outcome).toMatchObject({
    case: 'svid',
    value: { spiffeId: 'spiffe://prod.example/ns/shop/sa/cart' },
  })
  expect(serverTime).toBeDefined()

  const { send, responses } = node.service.sync()
  send({ message: { case: 'hello', value: { agentVersion: 'test', bundleSequence: 0n } } })
  for await (const response of responses) {
    expect(response).toMatchObject({ kind: RevisionKind.BUNDLES, state: { case: 'bundles' } })
    break
  }
})
