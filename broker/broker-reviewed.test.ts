import { afterAll, beforeAll, expect, test } from 'vitest'
import { auditRecords } from '../test/fakes/audit-records.ts'
import { FakeKubernetes } from '../test/fakes/fake-kubernetes.ts'
import { connectTo, newCsr } from '../test/fakes/node-client.ts'
import { AUDIENCE, runningBroker } from '../test/fakes/running-broker.ts'

const OPTIONS = { timeoutMs: 10_000 }
const AGENT = { namespace: 'countersign-agent', serviceAccount: 'countersign-agent', name: 'agent-a' }
const CART = { namespace: 'shop', serviceAccount: 'cart', name: 'cart-0' }

let kubernetes: FakeKubernetes
let broker: Awaited<ReturnType<typeof runningBroker>>

beforeAll(async () => {
  kubernetes = await FakeKubernetes.start({ nodes: ['node-a'] })
  for (const { namespace, serviceAccount, name } of [AGENT, CART]) {
    kubernetes.state.create('namespaces', { name: namespace })
    kubernetes.state.create('serviceaccounts', { name: serviceAccount, namespace })
    kubernetes.state.addPod({ namespace, serviceAccount, name, node: 'node-a' })
  }
  broker = await runningBroker({
    change: { attestation: { mode: 'tokenReview' }, kubernetes: { kubeconfig: kubernetes.adminKubeconfig } },
  })
})

afterAll(async () => {
  await broker.stop()
  await kubernetes.stop()
})

async function attested() {
  const { csr, privateKey } = await newCsr()
  const stranger = connectTo(broker, broker.folder)
  const serviceAccountToken = kubernetes.tokenOf(AGENT, AUDIENCE)
  const { svid } = await stranger.service.attestNode({ serviceAccountToken, csr }, OPTIONS)
  stranger.close()
  return connectTo(broker, broker.folder, { chain: svid?.certificateChain ?? [], privateKey })
}

test('invariant 3: the API server vouches for node and pod, and each record says that it did', async () => {
  const node = await attested()
  const { csr } = await newCsr()
  const podUid = kubernetes.state.get('pods', CART).metadata.uid
  const serviceAccountToken = kubernetes.tokenOf(CART, AUDIENCE)
  const ask = async (requestId: string) =>
    (await node.service.issueX509Svids({ requests: [{ requestId, serviceAccountToken, csr, podUid }] }, OPTIONS))
      .results[0]?.outcome
  expect(await ask('r1')).toMatchObject({ case: 'svid', value: { spiffeId: 'spiffe://prod.example/ns/shop/sa/cart' } })
  expect(kubernetes.reviews).toBe(2)

  // The API server is away: its keys still tell that a token is good, and that is not enough.
  kubernetes.fault = (path) => (path.includes('tokenreviews') ? 'reset' : undefined)
  const other = kubernetes.tokenOf(CART, AUDIENCE, 3599)
  const { results } = await node.service.issueX509Svids(
    { requests: [{ requestId: 'r2', serviceAccountToken: other, csr: (await newCsr()).csr, podUid }] },
    OPTIONS,
  )
  expect(results[0]?.outcome).toMatchObject({ case: 'refusal', value: { code: 'kubernetes_unavailable' } })
  kubernetes.fault = undefined

  // The pod is gone, and its token is still well signed.
  kubernetes.state.delete('pods', CART)
  const { results: late } = await node.service.issueX509Svids(
    { requests: [{ requestId: 'r3', serviceAccountToken: other, csr: (await newCsr()).csr, podUid }] },
    OPTIONS,
  )
  expect(late[0]?.outcome).toMatchObject({ case: 'refusal', value: { code: 'token_rejected' } })
  node.close()

  await broker.stop()
  const intents = auditRecords(broker.folder.ledgerFile).filter(
    ({ event, kind }) => event === 'issuance_intended' && kind !== 'broker',
  )
  expect(intents.map(({ kind, reviewed }) => [kind, reviewed])).toEqual([
    ['agent', true],
    ['workload', true],
  ])
})
