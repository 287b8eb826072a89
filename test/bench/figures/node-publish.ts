import { mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Client, credentials } from '@grpc/grpc-js'
import { Node } from '../../../proto/gen/third_party/csi/v1/csi_pb.ts'
import { serviceClient } from '../../../proto/grpc-client.ts'
import { Program } from '../../cluster-suites/program.ts'
import { publishRequest } from '../../fakes/publish-requests.ts'
import { AGENT_FLAGS, ClusterPods, type PodToken } from '../cluster-pods.ts'
import type { Figure } from '../figure.ts'
import { measureFloor } from '../machine/floor.ts'
import { AGENT, AGENT_NODE_ARGS, writeToken } from '../running-agent.ts'
import { startBroker } from '../running-broker.ts'
import { AUDIENCE, type Stage, TRUST_DOMAIN } from '../stage.ts'
import { fixed, percentile } from '../statistics.ts'

const NODE = 'node-a'
const PUBLISHES = { quick: 50, normal: 300, long: 1000 } as const
const GOAL = { p50: 15, p99: 50 } as const
const TIMEOUT_MS = 30_000

/** From NodePublishVolume to its answer: token reviewed, SVID issued, tmpfs mounted, files written, socket open. */
export const nodePublish: Figure = {
  name: 'node-publish',
  onCluster: true,
  async measure(stage, effort) {
    const pods = await ClusterPods.on(stage)
    const tokens = await pods.podTokens(NODE, PUBLISHES[effort] + 1)
    const kubelet = stage.folder('kubelet')
    const node = await startOnNode(stage, pods, kubelet)
    const times: number[] = []
    for (const [index, pod] of tokens.entries()) {
      const request = requestOf(kubelet, pods, pod, index)
      // kubelet makes the folder above the target.
      mkdirSync(dirname(request.targetPath), { recursive: true })
      const begin = performance.now()
      await node.nodePublishVolume(request, { timeoutMs: TIMEOUT_MS })
      // The first one waits for the agent's own attestation.
      if (index > 0) times.push(performance.now() - begin)
      const { volumeId, targetPath } = request
      await node.nodeUnpublishVolume({ volumeId, targetPath }, { timeoutMs: TIMEOUT_MS })
    }
    const { wallMicros } = await measureFloor()
    const [p50, p99] = [percentile(times, 50), percentile(times, 99)]
    return [
      {
        figure: 'NodePublish until files and socket are ready, p50 / p99',
        value: `${fixed(p50)} / ${fixed(p99)} ms`,
        numbers: { p50Ms: p50, p99Ms: p99, maxMs: percentile(times, 100) },
        floorMicros: wallMicros,
        goal: `${GOAL.p50} / ${GOAL.p99} ms`,
        met: p50 <= GOAL.p50 && p99 <= GOAL.p99,
        note: `${times.length} volumes one after another, a new token for each, reviewed by the API server; the cluster shares the cores`,
      },
    ]
  },
}

/** An agent with the mounts of a node, but with a kubelet's folders of its own: nobody's volumes are touched. */
async function startOnNode(stage: Stage, pods: ClusterPods, kubelet: string) {
  const { cluster } = pods
  const broker = await startBroker(stage, { kubeconfig: cluster.adminKubeconfig }, AGENT_FLAGS)
  const registry = stage.folder('kubelet', 'plugins_registry')
  const child = cluster
    .node(NODE)
    .spawn(process.execPath, [
      ...AGENT_NODE_ARGS,
      AGENT,
      ...['--trust-domain', TRUST_DOMAIN, '--node-name', NODE, '--broker', broker.address],
      ...['--token-file', writeToken(stage, 'agent', await pods.agentToken(NODE)), '--bundle-file', broker.bundleFile],
      ...['--state', stage.folder('state'), '--plugins-registry', registry, '--kubelet-dir', kubelet],
    ])
  const agent = new Program('agent', child, stage.path('logs', 'agent.log'))
  stage.onStop(() => agent.stop())
  await agent.until(({ msg }) => msg === 'started')
  const client = new Client(`unix:${join(registry, 'csi.countersign.dev-reg.sock')}`, credentials.createInsecure())
  stage.onStop(() => client.close())
  return serviceClient(Node, client, () => Date.now())
}

function requestOf(kubelet: string, pods: ClusterPods, { token, podName, podUid }: PodToken, index: number) {
  const secrets = { [AUDIENCE]: { token, expirationTimestamp: new Date(Date.now() + 3_600_000).toISOString() } }
  return publishRequest(kubelet, {
    volumeId: `csi-${index.toString(16).padStart(64, '0')}`,
    targetPath: `${kubelet}/pods/${podUid}/volumes/kubernetes.io~csi/identity-${index}/mount`,
    secrets: { 'csi.storage.k8s.io/serviceAccount.tokens': JSON.stringify(secrets) },
    volumeContext: {
      'csi.storage.k8s.io/ephemeral': 'true',
      'csi.storage.k8s.io/pod.name': podName,
      'csi.storage.k8s.io/pod.namespace': pods.namespace,
      'csi.storage.k8s.io/pod.uid': podUid,
      'csi.storage.k8s.io/serviceAccount.name': pods.serviceAccount,
    },
  })
}
