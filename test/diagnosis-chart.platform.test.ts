/** Countersign as users install it, broken as users break it: the command finds everything by itself, and says what is wrong. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { attachCluster } from './cluster/attach.ts'
import { logToStderr as log } from './cluster/base/log.ts'
import { waitFor } from './cluster/base/wait.ts'
import type { Cluster } from './cluster/cluster.ts'
import { Diagnosis } from './cluster-suites/diagnosis.ts'
import { createNamespaceWith } from './cluster-suites/identity-pod.ts'
import { writeKubeconfig } from './cluster-suites/kubeconfig.ts'
import { AGENTS, BROKER, type Release, SYSTEM } from './install/release.ts'
import { build, cleanUp, prepare, TAG } from './install/set-up.ts'

const DEPLOYMENT = ['--namespace', SYSTEM, 'deployment/countersign-broker'] as const
const OPERATORS = 'diagnosis-operators'
const PATIENCE = { timeout: 120_000, interval: 1_000 }

let cluster: Cluster
let release: Release
let countersign: Diagnosis

/** After a repair. */
async function isWell(): Promise<void> {
  await release.settled()
  await waitFor('countersign check to pass', async () => (await countersign.check()).failed.length === 0, PATIENCE)
}

beforeAll(async () => {
  cluster = await attachCluster()
  release = await prepare(cluster, await build(log), {})
  await release.install(TAG)
  countersign = new Diagnosis(cluster.adminKubeconfig)
})

afterAll(() => cleanUp(cluster, release))

test('everything is found, and well', async () => {
  const { code, text } = await countersign.check('--wait', '30s')
  const { checks } = JSON.parse(text) as { checks: { id: string; outcome: string }[] }
  expect(checks.filter(({ outcome }) => outcome !== 'pass')).toEqual([])
  expect(code).toBe(0)
})

test('status, bundle and version are the broker’s, by port-forward and a token of ten minutes', async () => {
  const [status, bundle, published, version] = await Promise.all([
    countersign.run('status'),
    countersign.run('bundle', 'show', '--pem'),
    countersign.run('bundle', 'show', '--pem', '--config-map'),
    countersign.run('version'),
  ])
  expect(status.out).toMatch(/Trust domain: +prod\.example/)
  expect(status.out).toMatch(/node-b +\d/)
  expect(bundle).toMatchObject({ code: 0, out: published.out })
  expect(version.out).toMatch(/^client .*\nbroker /)
})

test('the command in the image is the same', async () => {
  const args = ['exec', '--namespace', SYSTEM, BROKER.workload, '--', 'countersign', 'version', '--client']
  expect(await cluster.kubectl(args)).toMatch(/^client \d/)
})

test('whoever has the roles countersign-cli-user, and nothing else, sees all of it', async () => {
  const operator = { namespace: OPERATORS, name: 'operator' }
  const binding = (kind: 'ClusterRole' | 'Role', namespace?: string) => ({
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: `${kind}Binding`,
    metadata: { name: OPERATORS, ...(namespace !== undefined && { namespace }) },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind, name: 'countersign-cli-user' },
    subjects: [{ kind: 'ServiceAccount', ...operator }],
  })
  await createNamespaceWith(cluster, OPERATORS, [operator.name])
  await cluster.apply([binding('ClusterRole'), binding('Role', SYSTEM), binding('Role', AGENTS)])
  const directory = await mkdtemp(join(tmpdir(), 'operator-'))
  const kubeconfig = join(directory, 'kubeconfig')
  await writeKubeconfig(cluster, kubeconfig, { namespace: OPERATORS, serviceAccount: operator.name })
  try {
    const { code, text } = await new Diagnosis(kubeconfig).check()
    const { checks } = JSON.parse(text) as { checks: { outcome: string }[] }
    expect(checks.filter(({ outcome }) => outcome !== 'pass')).toEqual([])
    expect(code).toBe(0)
  } finally {
    await rm(directory, { recursive: true })
    await cluster.kubectl(['delete', `clusterrolebinding/${OPERATORS}`])
    await cluster.deleteNamespace(OPERATORS)
  }
})

describe('broken:', () => {
  test('the broker is scaled to nothing', { timeout: 240_000 }, async () => {
    await cluster.kubectl(['scale', ...DEPLOYMENT, '--replicas=0'])
    const { remedy } = await countersign.checkSays('broker-deployment', 'scaled to 0')
    expect(remedy).toContain('--replicas=1')
    await countersign.checkSays('broker-reachable', 'there is no broker in namespace countersign-system')
    expect(await countersign.run('status')).toMatchObject({ code: 3 })
    await cluster.kubectl(['scale', ...DEPLOYMENT, '--replicas=1'])
    await isWell()
  })

  test('the broker has an image that is not there', { timeout: 240_000 }, async () => {
    await cluster.kubectl(['set', 'image', ...DEPLOYMENT, 'broker=localhost/no-such-image:1'])
    const { findings } = await countersign.checkSays('broker-deployment', 'no-such-image')
    expect(findings?.[0]?.reason).toMatch(/container broker: (?:ErrImagePull|ImagePullBackOff)/)
    await countersign.checkSays('broker-reachable', 'no pod of the broker runs')
    await release.setImage(BROKER, `localhost/countersign:${TAG}`)
    await isWell()
  })

  test('the agents leave a node out', { timeout: 240_000 }, async () => {
    const select = (node: string | null) =>
      cluster.kubectl([
        'patch',
        'daemonset/countersign-agent',
        '--namespace',
        AGENTS,
        '--type=merge',
        '--patch',
        JSON.stringify({ spec: { template: { spec: { nodeSelector: { 'kubernetes.io/hostname': node } } } } }),
      ])
    await select('node-a')
    const { remedy } = await countersign.checkSays('agents-on-nodes', 'node-b')
    expect(remedy).toContain('agent.tolerations')
    await countersign.checkSays('csi-registration', 'node-b', 'not registered')
    await select(null)
    await isWell()
  })
})
