import { attachCluster } from '../../cluster/attach.ts'
import { logToStderr } from '../../cluster/base/log.ts'
import type { Cluster } from '../../cluster/cluster.ts'
import { identityPod } from '../../cluster-suites/identity-pod.ts'
import { AGENT, BROKER, type Part, type Release } from '../../install/release.ts'
import { build, cleanUp, prepare, TAG } from '../../install/set-up.ts'
import type { Effort, Figure, Measured } from '../figure.ts'
import { coldStart } from '../installed/cold-start.ts'
import { podMemory } from '../installed/pod-memory.ts'
import { podStart } from '../installed/pod-start.ts'
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
  const [without, withVolume]: [number[], number[]] = [[], []]
  for (let index = 0; index < PODS[effort]; index += 1) {
    without.push(await podStart(cluster, NAMESPACE, `without-${index}`, 0))
    withVolume.push(await podStart(cluster, NAMESPACE, `with-${index}`, 1))
  }
  const of = (p: number) => ({ without: percentile(without, p), with: percentile(withVolume, p) })
  const [p50, p99] = [of(50), of(99)]
  const added = { p50: p50.with - p50.without, p99: p99.with - p99.without }
  return {
    figure: 'pod created to first instruction, added by its identity, p50 / p99',
    value: `${fixed(added.p50, 0)} / ${fixed(added.p99, 0)} ms`,
    numbers: {
      addedP50Ms: added.p50,
      addedP99Ms: added.p99,
      ...{ withP50Ms: p50.with, withP99Ms: p99.with, withoutP50Ms: p50.without, withoutP99Ms: p99.without },
    },
    note: `${fixed(p50.with, 0)} / ${fixed(p99.with, 0)} ms with it, ${fixed(p50.without, 0)} / ${fixed(p99.without, 0)} ms without; ${PODS[effort]} pods of each kind in turn`,
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
