import { resolve } from 'node:path'
import { rolldown } from 'rolldown'
import { waitFor } from '../cluster/base/wait.ts'
import type { Cluster } from '../cluster/cluster.ts'
import { COUNTERSIGN_IMAGE } from '../cluster/images/countersign-image.ts'
import { CSI_DRIVER } from '../cluster-suites/agent-process.ts'
import { TRUST_DOMAIN } from './release.ts'

export const SHOP = 'shop-under-load'
export const CALLERS = 2

const PORT = 8443
/** Of each caller, so that one alone is enough while the other moves to another node. */
const PER_SECOND = 55
const idOf = (serviceAccount: string) => `spiffe://${TRUST_DOMAIN}/ns/${SHOP}/sa/${serviceAccount}`

/** Two services, each on both nodes: `checkout` calls `payments` by its Service's name, both with the files of their volumes. */
export async function openShop(cluster: Cluster, collector: string): Promise<void> {
  await cluster.createNamespace(SHOP, { 'pod-security.kubernetes.io/enforce': 'restricted' })
  const programs = { 'service.js': await bundled('service.ts'), 'caller.js': await bundled('caller.ts') }
  await cluster.apply([
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'programs', namespace: SHOP }, data: programs },
    ...service('payments', ['/programs/service.js', `${PORT}`, idOf('checkout')]),
  ])
  await isRolledOut(cluster, 'payments')
  await cluster.apply(
    service('checkout', [
      '/programs/caller.js',
      ...[`payments.${SHOP}.svc.cluster.local:${PORT}`, idOf('payments'), `${PER_SECOND}`, collector],
    ]),
  )
  await shopIsOpen(cluster)
}

/** Waits until all pods of both services are ready, one of each on each node unless a node takes none. */
export async function shopIsOpen(cluster: Cluster): Promise<void> {
  for (const name of ['payments', 'checkout']) await isRolledOut(cluster, name)
}

async function isRolledOut(cluster: Cluster, name: string): Promise<void> {
  await cluster.kubectl(['rollout', 'status', `deployment/${name}`, '--namespace', SHOP, '--timeout=55s'])
}

/** Brings the pods back to both nodes, after one that took none does so again. */
export async function spreadShop(cluster: Cluster): Promise<void> {
  for (const name of ['payments', 'checkout']) {
    await cluster.kubectl(['rollout', 'restart', `deployment/${name}`, '--namespace', SHOP])
  }
  await shopIsOpen(cluster)
  await waitFor('the pods before to be gone', async () => (await podsOfShop(cluster)).length === 2 * CALLERS)
}

/** UID and node of each of its pods. */
export async function podsOfShop(cluster: Cluster): Promise<{ uid: string; node: string }[]> {
  const { items } = await cluster.api<{ items: { metadata: { uid: string }; spec: { nodeName: string } }[] }>(
    'GET',
    `/api/v1/namespaces/${SHOP}/pods`,
  )
  return items.map(({ metadata, spec }) => ({ uid: metadata.uid, node: spec.nodeName }))
}

function service(name: string, args: readonly string[]): object[] {
  const labels = { app: name }
  const metadata = { name, namespace: SHOP }
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata, automountServiceAccountToken: false },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata,
      spec: { selector: labels, ports: [{ name: 'tls', port: PORT }] },
    },
    {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata,
      spec: { maxUnavailable: 1, selector: { matchLabels: labels } },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: {
        replicas: CALLERS,
        selector: { matchLabels: labels },
        strategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
        template: {
          metadata: { labels: { ...labels, 'app.kubernetes.io/part-of': SHOP } },
          spec: podSpec(name, labels, args),
        },
      },
    },
  ]
}

function podSpec(name: string, labels: object, args: readonly string[]): object {
  const spread = { maxSkew: 1, topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: labels } }
  return {
    serviceAccountName: name,
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    terminationGracePeriodSeconds: 20,
    topologySpreadConstraints: [{ ...spread, whenUnsatisfiable: 'ScheduleAnyway' }],
    securityContext: {
      runAsNonRoot: true,
      runAsUser: 12345,
      runAsGroup: 12345,
      seccompProfile: { type: 'RuntimeDefault' },
    },
    containers: [
      {
        name: 'main',
        // For its Node.js alone.
        image: COUNTERSIGN_IMAGE,
        command: ['node', ...args],
        // Endpoints are told of its end a moment after it has begun.
        lifecycle: { preStop: { sleep: { seconds: 5 } } },
        ...(name === 'payments' && { readinessProbe: { tcpSocket: { port: PORT }, periodSeconds: 1 } }),
        securityContext: {
          readOnlyRootFilesystem: true,
          allowPrivilegeEscalation: false,
          capabilities: { drop: ['ALL'] },
        },
        volumeMounts: [
          { name: 'identity', mountPath: '/identity', readOnly: true },
          { name: 'programs', mountPath: '/programs', readOnly: true },
        ],
      },
    ],
    volumes: [
      { name: 'identity', csi: { driver: CSI_DRIVER, readOnly: true } },
      { name: 'programs', configMap: { name: 'programs' } },
    ],
  }
}

async function bundled(program: string): Promise<string> {
  const bundle = await rolldown({ input: resolve(import.meta.dirname, 'workload', program), platform: 'node' })
  const { output } = await bundle.generate({ format: 'esm' })
  return output[0].code
}
