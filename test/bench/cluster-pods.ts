import { type Cluster } from '../cluster/cluster.ts'
import { attachCluster } from '../cluster/attach.ts'
import type { NodeName } from '../cluster/layout.ts'
import { AUDIENCE, type Stage } from './stage.ts'

const NAMESPACE = 'countersign-bench'
const AGENT = 'bench-agent'
/** What the broker has to be told about our agents. */
export const AGENT_FLAGS = ['--agent', `${NAMESPACE}/${AGENT}`] as const
const POD = 'bench-pod'
/** TokenRequests at the same time. */
const AT_ONCE = 16

/** A pod of the test cluster, with a token that its API server will vouch for. */
export interface PodToken {
  readonly token: string
  readonly podUid: string
  readonly podName: string
}

/** Pods of a namespace of our own, which goes with the stage. */
export class ClusterPods {
  readonly cluster: Cluster
  readonly namespace = NAMESPACE
  readonly serviceAccount = POD

  private constructor(cluster: Cluster) {
    this.cluster = cluster
  }

  static async on(stage: Stage): Promise<ClusterPods> {
    const cluster = await attachCluster()
    await cluster.createNamespace(NAMESPACE)
    stage.onStop(() => cluster.deleteNamespace(NAMESPACE))
    return new ClusterPods(cluster)
  }

  async agentToken(node: NodeName): Promise<string> {
    const [only] = await this.#tokens(AGENT, node, 1)
    return only?.token ?? ''
  }

  /** `count` tokens of one pod on `node`, each another: a review of one says nothing of the next. */
  podTokens(node: NodeName, count: number): Promise<readonly PodToken[]> {
    return this.#tokens(POD, node, count)
  }

  async #tokens(serviceAccount: string, node: NodeName, count: number): Promise<PodToken[]> {
    const at = { namespace: NAMESPACE, serviceAccount }
    const podName = await this.cluster.createPlaceholderPod({ ...at, node })
    const { metadata } = await this.cluster.pod(NAMESPACE, podName)
    const tokens: PodToken[] = []
    const make = async () => {
      while (tokens.length < count) {
        const token = await this.cluster.createToken({ ...at, audience: AUDIENCE, pod: podName })
        tokens.push({ token, podUid: metadata.uid, podName })
      }
    }
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, count) }, make))
    return tokens
  }
}
