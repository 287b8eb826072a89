import { AGENT_FLAGS, ClusterPods } from '../cluster-pods.ts'
import type { Effort, Figure, Measured } from '../figure.ts'
import { OTHER_CORE } from '../machine/cores.ts'
import type { LoadCommands, TokensOfNode } from '../programs/load.ts'
import { startBroker } from '../running-broker.ts'
import type { Stage } from '../stage.ts'
import { costOf, lineOf } from './issuance.ts'

const NODES = ['node-a', 'node-b'] as const
/** The broker and the API server remember a token for 10 s. */
const FORGET_MS = 11_000
const TOKENS_PER_NODE = { quick: 2000, normal: 5000, long: 8000 } as const

/** Issuance where the API server is asked about each token. */
async function measured(stage: Stage, effort: Effort): Promise<readonly Measured[]> {
  const pods = await ClusterPods.on(stage)
  const agents: TokensOfNode[] = []
  for (const node of NODES) {
    const tokens = await pods.podTokens(node, TOKENS_PER_NODE[effort])
    agents.push({ agentToken: await pods.agentToken(node), pods: tokens })
  }
  const load = stage.remote<LoadCommands>('load.ts', OTHER_CORE)
  const broker = await startBroker(stage, { kubeconfig: pods.cluster.adminKubeconfig }, AGENT_FLAGS)
  await load.ask('connectWith', { broker: { address: broker.address, bundleFile: broker.bundleFile }, agents })
  const shape = { seconds: 3, rounds: effort === 'quick' ? 1 : 3, forgetMs: FORGET_MS }
  const single = await costOf({ broker, load }, { ...shape, batch: 1 })
  const batches = await costOf({ broker, load }, { ...shape, batch: 10 })
  const note = 'the API server shares the cores'
  return [
    lineOf('SVID, one a call, TokenReview each', single, undefined, note),
    lineOf('SVID, in batches of 10, TokenReview each', batches, undefined, note),
  ]
}

export const issuanceReviewed: Figure = { name: 'issuance-reviewed', onCluster: true, measure: measured }
