import { attachCluster } from '../../cluster/attach.ts'
import { logToStderr } from '../../cluster/base/log.ts'
import type { Cluster } from '../../cluster/cluster.ts'
import { identityPod } from '../../cluster-suites/identity-pod.ts'
import { AGENT, BROKER, type Part, type Release } from '../../install/release.ts'
import { build, cleanUp, prepare, TAG } from '../../install/set-up.ts'
import type { Effort, Figure, Measured } from '../figure.ts'
import { coldStart } from '../installed/cold-start.ts'
import { podMemory } from '../installed/pod-memory.ts'
import { podStart, type PodVolume } from '../installed/pod-start.ts'
import { fixed, median, percentile } from '../statistics.ts'

const NAMESPACE = 'countersign-bench'
const PODS = { quick: 10, normal: 30, long: 100 } as const
const STARTS = { quick: 3, normal: 5, long: 10 } as const
/** Ten pods of ten volumes, all on one node. */
const CROWD = { pods: 10, volumes: 10 } as const

/** The image and the chart on the test cluster: what it costs as users have it. */
export const installed: Figure = {
  name: 'installed',
  onCluster: true,
  async measure(stage, effort) {
    const cluster = await attachCluster()
    const release = await prepare(cluster, await build(logToStderr), {})
    stage.onStop(() => cleanUp(cluster, release))
    await release.install(TAG)
    await cluster.createNamespace(NAMESPACE)
    stage.onStop(() => cluster.deleteNamespace(NAMESPACE))
    return [
      await coldStarts(cluster, release, BROKER, STARTS[effort]),
      await coldStarts(cluster, release, AGENT, STARTS[effort]),
      await podStarts(cluster, effort),
      await memory(cluster),
    ]
  },
}

async function coldStarts(cluster: Cluster, release: Release, part: Part, count: number): Promise<Measured> {
  const times: number[] = []
  while (times.length < count) {
    times.push(await coldStart(cluster, part))
    await release.settled()
  }
  const p50 = median(times)
  return {
    figure: `${part.container}: start of its process to ready`,
    value: `${fixed(p50, 0)} ms`,
    numbers: { p50Ms: p50, maxMs: percentile(times, 100) },
    note: `in its pod, median of ${count}`,
  }
}

async function podStarts(cluster: Cluster, effort: Effort): Promise<Measured> {
  const times: Record<PodVolume, number[]> = { none: [], emptyDir: [], identity: [] }
  for (let index = 0; index < PODS[effort]; index += 1) {
    for (const [volume, own] of Object.entries(times)) {
      const name = `${volume.toLowerCase()}-${index}`
      own.push(await podStart(cluster, NAMESPACE, name, volume as PodVolume))
    }
  }
  const [none, empty, identity] = [times.none, times.emptyDir, times.identity]
  const added = (p: number, to: readonly number[]) => percentile(identity, p) - percentile(to, p)
  const both = (of: (p: number) => number) => `${fixed(of(50), 0)} / ${fixed(of(99), 0)} ms`
  return {
    figure: 'pod created to first instruction, added by its identity, p50 / p99',
    value: both((p) => added(p, none)),
    numbers: {
      addedP50Ms: added(50, none),
      addedP99Ms: added(99, none),
      addedToEmptyDirP50Ms: added(50, empty),
      addedToEmptyDirP99Ms: added(99, empty),
      withP50Ms: percentile(identity, 50),
      withP99Ms: percentile(identity, 99),
    },
    note:
      `${both((p) => percentile(identity, p))} with it, ${both((p) => percentile(none, p))} without, ` +
      `${both((p) => percentile(empty, p))} with an emptyDir instead: kubelet looks a few times a second whether volumes are there; ` +
      `${PODS[effort]} pods of each kind in turn`,
  }
}

async function memory(cluster: Cluster): Promise<Measured> {
  const idle = await workingSets(cluster)
  const names = Array.from({ length: CROWD.pods }, (_, index) => `crowd-${index}`)
  await cluster.apply(
    names.map((name) =>
      identityPod({ namespace: NAMESPACE, name, node: 'node-a', serviceAccount: 'default', volumes: CROWD.volumes }),
    ),
  )
  for (const name of names) await cluster.waitUntilPodReady(NAMESPACE, name)
  const crowded = await workingSets(cluster)
  return {
    figure: `working sets of broker / agent by kubelet, ${CROWD.pods * CROWD.volumes} volumes on the node`,
    value: `${fixed(crowded.broker)} / ${fixed(crowded.agent)} MiB`,
    numbers: {
      brokerMib: crowded.broker,
      agentMib: crowded.agent,
      idleBrokerMib: idle.broker,
      idleAgentMib: idle.agent,
    },
    note: `${fixed(idle.broker)} / ${fixed(idle.agent)} MiB before; the agent's includes the volumes' files`,
  }
}

async function workingSets(cluster: Cluster): Promise<{ readonly broker: number; readonly agent: number }> {
  const [broker, agent] = await Promise.all([podMemory(cluster, BROKER), podMemory(cluster, AGENT)])
  return { broker, agent }
}
