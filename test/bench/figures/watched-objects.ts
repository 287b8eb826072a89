import { setTimeout as delay } from 'node:timers/promises'
import { TEMPLATES_PATH } from '../../../broker/kubernetes/template-custom-resources.ts'
import { installDefinitions } from '../../cluster-suites/custom-resources.ts'
import { attachCluster } from '../../cluster/attach.ts'
import type { Cluster } from '../../cluster/cluster.ts'
import { FakeKubernetes } from '../../fakes/fake-kubernetes.ts'
import type { Figure, Measured } from '../figure.ts'
import { MEASURED_CORE } from '../machine/cores.ts'
import { memoryOf, mib } from '../machine/process-figures.ts'
import type { WatchingCommands } from '../programs/watching.ts'
import { BROKER_NODE_ARGS } from '../running-broker.ts'
import type { Stage } from '../stage.ts'
import { fixed } from '../statistics.ts'

const COUNTS = { quick: 1_000, normal: 10_000, long: 10_000 } as const
const GOAL_MIB = 96
const NAMESPACE = 'bench-objects'
const PODS = `/api/v1/namespaces/${NAMESPACE}/pods`
/** Requests to a real API server at a time. */
const AT_ONCE = 16
const DEADLINE_MS = 120_000

/** Memory of following many templates and pods, of a server of the benchmark's own: what is measured is the broker. */
export const watchedObjects: Figure = {
  name: 'watched-objects',
  async measure(stage, effort) {
    const fake = await FakeKubernetes.start()
    stage.onStop(() => fake.stop())
    const [templates, pods, namespaces] = [TEMPLATES_PATH, '/api/v1/pods', '/api/v1/namespaces'].map((path) =>
      fake.serve(path),
    )
    namespaces?.put({ metadata: { name: NAMESPACE } })
    const count = COUNTS[effort]
    for (let index = 0; index < count; index += 1) {
      templates?.put(templateOf(index))
      pods?.put(podOf(index))
    }
    return [await followed(stage, { kubeconfig: fake.adminKubeconfig, count, server: 'a fake API server' })]
  },
}

/** The same of the API server of the test cluster. */
export const watchedObjectsOnCluster: Figure = {
  name: 'watched-objects-on-cluster',
  onCluster: true,
  async measure(stage, effort) {
    const cluster = await attachCluster()
    const count = COUNTS[effort]
    await fillCluster(stage, cluster, count)
    return [
      await followed(stage, {
        kubeconfig: cluster.adminKubeconfig,
        count,
        server: 'the API server of the test cluster',
      }),
    ]
  },
}

async function followed(
  stage: Stage,
  { kubeconfig, count, server }: { kubeconfig: string; count: number; server: string },
): Promise<Measured> {
  const watching = stage.remote<WatchingCommands>('watching.ts', MEASURED_CORE, [...BROKER_NODE_ARGS, '--expose-gc'])
  await watching.ask('prepare', kubeconfig)
  await watching.ask('figures', undefined)
  const before = memoryOf(watching.pid)
  await watching.ask('follow', undefined)
  let peak = before.rss
  for (let waited = 0; ; waited += 200) {
    await delay(200)
    peak = Math.max(peak, memoryOf(watching.pid).rss)
    const { pods } = await watching.ask('figures', undefined)
    if (pods === count) break
    if (waited > DEADLINE_MS) throw new Error(`${pods} of ${count} pods are served`)
  }
  const { syncedMs, templates } = await watching.ask('figures', undefined)
  const after = memoryOf(watching.pid)
  const more = mib(after.rss - before.rss)
  const peakMore = mib(peak - before.rss)
  return {
    figure: `memory of following ${count} templates and ${count} pods`,
    value: `${fixed(more, 0)} MiB, at most ${fixed(peakMore, 0)} MiB`,
    numbers: { rssMib: more, peakRssMib: peakMore, anonMib: mib(after.anon - before.anon), syncedMs, templates, count },
    goal: `≤ ${GOAL_MIB} MiB at most`,
    met: peakMore <= GOAL_MIB,
    note: `${server}; all read after ${fixed(syncedMs / 1000, 1)} s`,
  }
}

const ACCOUNTS = 100
/** One template for each; those beyond the ServiceAccounts that there are select nobody. */
const accountOf = (index: number) => `app-${index}`

function templateOf(index: number) {
  return {
    apiVersion: 'countersign.dev/v1alpha1',
    kind: 'IdentityTemplate',
    metadata: { name: `bench-${index}` },
    spec: {
      serviceAccounts: [`${NAMESPACE}/${accountOf(index)}`],
      spiffeId: `spiffe://{{ trustDomain }}/bench/{{ namespace }}/{{ serviceAccount }}`,
      dnsNames: ['{{ serviceAccount }}.{{ namespace }}.svc'],
      ttl: '30m',
    },
  }
}

/** A pod of the size that pods have, waiting for ever to be scheduled. */
function podOf(index: number) {
  const labels = {
    app: accountOf(index % ACCOUNTS),
    'app.kubernetes.io/part-of': 'bench',
    'pod-template-hash': `${index % 500}`,
  }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: `bench-${index}`, namespace: NAMESPACE, labels, annotations: { description: 'x'.repeat(4_000) } },
    spec: {
      serviceAccountName: accountOf(index % ACCOUNTS),
      schedulingGates: [{ name: 'countersign.dev/bench' }],
      containers: [{ name: 'main', image: 'localhost/busybox:test', env: [{ name: 'A', value: 'x'.repeat(500) }] }],
      volumes: [{ name: 'id', csi: { driver: 'csi.countersign.dev', readOnly: true } }],
    },
  }
}

async function fillCluster(stage: Stage, cluster: Cluster, count: number): Promise<void> {
  stage.onStop(await installDefinitions(cluster))
  await cluster.createNamespace(NAMESPACE)
  stage.onStop(async () => {
    await deleteAll(cluster, PODS)
    await deleteAll(cluster, TEMPLATES_PATH)
    await cluster.deleteNamespace(NAMESPACE)
  })
  for (let index = 0; index < ACCOUNTS; index += 1) {
    const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: accountOf(index) } }
    await cluster.api('POST', `/api/v1/namespaces/${NAMESPACE}/serviceaccounts`, account)
  }
  let next = 0
  const work = async () => {
    for (let index = (next += 1) - 1; index < count; index = (next += 1) - 1) {
      await cluster.api('POST', TEMPLATES_PATH, templateOf(index))
      await cluster.api('POST', PODS, podOf(index))
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
}

/** Page by page: kubectl asks for each object by itself, and all at once take longer than a request may. */
async function deleteAll(cluster: Cluster, path: string): Promise<void> {
  for (;;) {
    await cluster.api('DELETE', `${path}?limit=500&gracePeriodSeconds=0`)
    const { items } = await cluster.api<{ items: readonly unknown[] }>('GET', `${path}?limit=1`)
    if (items.length === 0) return
  }
}
