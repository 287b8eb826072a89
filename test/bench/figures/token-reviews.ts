import { FakeKubernetes } from '../../fakes/fake-kubernetes.ts'
import type { Figure } from '../figure.ts'
import { nodeName } from '../programs/tickets.ts'
import { startAgent, type TokenSource, until, writeToken } from '../running-agent.ts'
import { AUDIENCE } from '../stage.ts'
import { fixed } from '../statistics.ts'

const WORKLOADS = 20
const ROTATIONS = 3
const TTL = '12s'
/** kubelet republishes each volume about so often here; in earnest every 90 s or so. */
const REPUBLISH_EVERY_MS = 1000

/** How often the API server is asked to vouch: once for a renewal, never for a republish. */
export const tokenReviews: Figure = {
  name: 'token-reviews',
  async measure(stage) {
    const kubernetes = await FakeKubernetes.start({ nodes: [nodeName(0)] })
    stage.onStop(() => kubernetes.stop())
    const tokens = tokensOf(kubernetes)
    const agent = await startAgent(stage, { count: WORKLOADS, ttl: TTL, tokens, reread: '500ms' })
    const issued = () => agent.broker.metric('countersign_broker_svids_issued_total')
    let republished = 0
    const republishing = setInterval(() => {
      for (let index = 0; index < WORKLOADS; index += 1) writeToken(stage, `app-${index}`, tokens.podToken(index))
      republished += WORKLOADS
    }, REPUBLISH_EVERY_MS)
    stage.onStop(() => clearInterval(republishing))

    const [reviewsBefore, issuedBefore] = [kubernetes.reviews, await issued()]
    await until(async () => (await issued()) - issuedBefore >= WORKLOADS * ROTATIONS, 60_000)
    // The answer to a review comes before its SVID is counted: both are looked at when nothing is under way.
    await until(async () => (await issued()) - issuedBefore === kubernetes.reviews - reviewsBefore, 3_000).catch(
      () => {},
    )
    const renewals = (await issued()) - issuedBefore
    const reviews = kubernetes.reviews - reviewsBefore
    return [
      {
        figure: 'TokenReviews per renewal',
        value: fixed(reviews / renewals, 2),
        numbers: { reviews, renewals, republished },
        goal: '1',
        met: reviews === renewals,
        note: `${reviews} reviews for ${renewals} renewals, while ${republished} republishes cost none; an API server that counts`,
      },
    ]
  },
}

function tokensOf(kubernetes: FakeKubernetes): TokenSource {
  const { state } = kubernetes
  for (const name of ['countersign-agent', 'shop']) state.create('namespaces', { name })
  const pod = (namespace: string, serviceAccount: string, name: string) => {
    state.create('serviceaccounts', { namespace, name: serviceAccount })
    state.create('pods', { namespace, name }, { serviceAccountName: serviceAccount, nodeName: nodeName(0) })
    return { namespace, serviceAccount, name }
  }
  const agent = pod('countersign-agent', 'countersign-agent', 'countersign-agent-0')
  const pods = Array.from({ length: WORKLOADS }, (_, index) => pod('shop', `app-${index}`, `app-${index}-0`))
  return {
    believes: { kubeconfig: kubernetes.adminKubeconfig },
    agentToken: () => kubernetes.tokenOf(agent, AUDIENCE),
    podToken: (index) => kubernetes.tokenOf(pods[index] ?? agent, AUDIENCE),
  }
}
