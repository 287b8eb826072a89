import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ApiConnection } from '../broker/kubernetes/api-connection.ts'
import { loadCredentials } from '../broker/kubernetes/credentials.ts'
import { TemplateCustomResources } from '../broker/kubernetes/template-custom-resources.ts'
import { TemplateStatuses } from '../broker/kubernetes/template-statuses.ts'
import { WatchedPods } from '../broker/kubernetes/watched-pods.ts'
import { systemRandom } from '../core/runtime/random.ts'
import { systemClock } from '../core/runtime/system-clock.ts'
import { attachCluster } from './cluster/attach.ts'
import type { Cluster } from './cluster/cluster.ts'
import { installDefinitions } from './cluster-suites/custom-resources.ts'
import { TrustDomain } from '../core/spiffe/trust-domain.ts'

const NAMESPACE = `status-${randomBytes(4).toString('hex')}`
const WAIT = { timeout: 30_000, interval: 200 }
const RULES = {
  trustDomain: TrustDomain.parse('prod.example'),
  minTtlMs: 300_000,
  maxTtlMs: 86_400_000,
  knowsLabels: true,
}
let cluster: Cluster
let source: TemplateCustomResources
const stops: (() => Promise<unknown>)[] = []

beforeAll(async () => {
  cluster = await attachCluster()
  stops.push(await installDefinitions(cluster))
  await cluster.createNamespace(NAMESPACE, { team: NAMESPACE })
  stops.push(() => cluster.deleteNamespace(NAMESPACE))

  const clock = systemClock
  const api = new ApiConnection(await loadCredentials({ kubeconfig: cluster.adminKubeconfig }), {
    clock,
    maxConnections: 4,
  })
  const dependencies = { api, clock, random: systemRandom, onTrouble: () => {}, onChange: () => statuses.changed() }
  source = new TemplateCustomResources({ ...dependencies, rules: RULES })
  const pods = new WatchedPods(dependencies)
  const statuses = new TemplateStatuses({
    ...{ api, clock },
    objects: () => source.objects,
    seen: () => pods.seen,
    onReviewed: (states) => source.reviewed(states),
    onFailed: () => {},
  })
  stops.push(async () => {
    await Promise.all([statuses.close(), pods.close(), source.close()])
    api.close()
  })
})
afterAll(async () => {
  for (const stop of stops.toReversed()) await stop()
})

const template = (name: string, spec: object) =>
  cluster.apply({ apiVersion: 'countersign.dev/v1alpha1', kind: 'IdentityTemplate', metadata: { name }, spec })

/** A pod that waits to be scheduled: whether it runs does not matter here. */
const pod = (name: string, labels: Record<string, string> = {}) =>
  cluster.apply({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: NAMESPACE, labels },
    spec: {
      schedulingGates: [{ name: 'countersign.dev/never' }],
      containers: [{ name: 'main', image: 'localhost/busybox:test', volumeMounts: [{ name: 'id', mountPath: '/id' }] }],
      volumes: [{ name: 'id', csi: { driver: 'csi.countersign.dev', readOnly: true } }],
    },
  })

interface Shown {
  readonly metadata: { readonly generation: number }
  readonly status?: {
    readonly observedGeneration: number
    readonly serves?: object
    readonly conditions: readonly { readonly reason: string; readonly message: string }[]
  }
}
const shown = (name: string) =>
  cluster.api<Shown>('GET', `/apis/countersign.dev/v1alpha1/identitytemplates/${name}`).catch(() => undefined)
const reason = async (name: string) => (await shown(name))?.status?.conditions[0]?.reason

test('pods of a template are counted, an edit is seen, and a conflict names the other and a pod', async () => {
  await template('ours', { namespaceSelector: { matchLabels: { team: NAMESPACE } } })
  await expect.poll(() => reason('ours'), WAIT).toBe('NoMatch')
  await pod('one')
  await pod('two', { track: 'canary' })
  await expect
    .poll(async () => (await shown('ours'))?.status?.serves, WAIT)
    .toEqual({ pods: 2, serviceAccounts: [`${NAMESPACE}/default`] })
  expect(await cluster.kubectl(['get', 'idt', 'ours'])).toMatch(/ours .* True +Valid +2 /)

  await template('canary', { podSelector: { matchLabels: { track: 'canary' } } })
  await expect.poll(async () => [await reason('ours'), await reason('canary')], WAIT).toEqual(['Conflict', 'Conflict'])
  expect((await shown('ours'))?.status?.conditions[0]?.message).toBe(
    `IdentityTemplate canary selects pod ${NAMESPACE}/two, too: it is refused. Narrow the selectors of one of them.`,
  )

  await cluster.kubectl(['delete', 'pod', 'two', '--namespace', NAMESPACE, '--grace-period=0', '--force'])
  await expect.poll(async () => [await reason('ours'), await reason('canary')], WAIT).toEqual(['Valid', 'NoMatch'])

  await template('ours', { namespaceSelector: { matchLabels: { team: NAMESPACE } }, ttl: '25h' })
  await expect.poll(() => reason('ours'), WAIT).toBe('Invalid')
  const edited = await shown('ours')
  expect(edited?.status?.observedGeneration).toBe(edited?.metadata.generation)
  expect(source.current().find(({ name }) => name === 'ours')?.ttlMs).toBeUndefined()
})

test('a status is written once, and then not again', async () => {
  await template('quiet', { serviceAccounts: [`${NAMESPACE}/nobody`] })
  await expect.poll(() => reason('quiet'), WAIT).toBe('NoMatch')
  const version = () => cluster.kubectl(['get', 'idt', 'quiet', '-o', 'jsonpath={.metadata.resourceVersion}'])
  const written = await version()
  await pod('three')
  await expect.poll(async () => (await shown('ours'))?.status?.serves, WAIT).toMatchObject({ pods: 2 })
  expect(await version()).toBe(written)
})

test('what happens while the API server is away is seen once it is back', async () => {
  await template('ours', { namespaceSelector: { matchLabels: { team: NAMESPACE } } })
  await expect.poll(() => reason('ours'), WAIT).toBe('Valid')
  await cluster.stopApiServer()
  expect(source.current().map(({ name }) => name)).toContain('ours')
  await cluster.startApiServer()
  await cluster.kubectl(['delete', 'idt', 'quiet', 'canary'])
  await template('later', { serviceAccounts: [`${NAMESPACE}/later`] })
  await expect.poll(() => reason('later'), { timeout: 60_000, interval: 200 }).toBe('NoMatch')
  expect(
    source
      .current()
      .map(({ name }) => name)
      .toSorted(),
  ).toEqual(['later', 'ours'])
})
