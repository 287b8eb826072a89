/** Templates that are wrong, and rules that the broker lacks: `countersign` must name them, and what to do. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { attachCluster } from './cluster/attach.ts'
import type { Cluster } from './cluster/cluster.ts'
import { DiagnosedInstallation } from './cluster-suites/diagnosed-installation.ts'
import { createNamespaceWith, identityPod } from './cluster-suites/identity-pod.ts'
import { writeKubeconfig } from './cluster-suites/kubeconfig.ts'

const NAMESPACE = 'diagnosis-objects'
const BROKER = { namespace: NAMESPACE, name: 'broker' }
const ROLE = 'diagnosis-objects-broker'
const CRD_FILE = 'deploy/chart/files/crds/identitytemplates.countersign.dev.yaml'

let cluster: Cluster
let countersign: DiagnosedInstallation
let directory: string

const rule = (apiGroup: string, resource: string, ...verbs: string[]) => ({
  apiGroups: [apiGroup],
  resources: [resource],
  verbs,
})
/** What the chart gives the broker. */
const RULES = [
  rule('authentication.k8s.io', 'tokenreviews', 'create'),
  rule('authorization.k8s.io', 'subjectaccessreviews', 'create'),
  rule('countersign.dev', 'identitytemplates', 'get', 'list', 'watch'),
  rule('countersign.dev', 'identitytemplates/status', 'patch'),
  rule('', 'serviceaccounts', 'get'),
  rule('', 'pods', 'get', 'list', 'watch'),
  rule('', 'namespaces', 'get', 'list', 'watch'),
]

const allow = (rules: readonly object[]) =>
  cluster.apply([
    { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name: ROLE }, rules },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name: ROLE },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: ROLE },
      subjects: [{ kind: 'ServiceAccount', ...BROKER }],
    },
  ])

const template = (name: string, spec: object) => ({
  apiVersion: 'countersign.dev/v1alpha1',
  kind: 'IdentityTemplate',
  metadata: { name: `${NAMESPACE}-${name}` },
  spec,
})

beforeAll(async () => {
  cluster = await attachCluster()
  directory = await mkdtemp(join(tmpdir(), 'diagnosis-'))
  await cluster.apply(await readFile(CRD_FILE, 'utf8'))
  await createNamespaceWith(cluster, NAMESPACE, ['broker', 'usual', 'claimed'])
  await allow(RULES)
  const kubeconfig = join(directory, 'broker.kubeconfig')
  await writeKubeconfig(cluster, kubeconfig, { namespace: NAMESPACE, serviceAccount: 'broker' })
  countersign = await DiagnosedInstallation.start(cluster, {
    config: { kubernetes: { kubeconfig }, templates: { customResources: true } },
  })
})

beforeEach(async () => {
  await cluster.kubectl(['delete', 'identitytemplates', '--all'])
  await cluster.apply(template('usual', { serviceAccounts: [`${NAMESPACE}/usual`] }))
})

afterAll(async () => {
  await cluster.tryKubectl(['delete', 'identitytemplates', '--all'])
  await cluster.deleteNamespace(NAMESPACE)
  await countersign.stop()
  await cluster.tryKubectl(['delete', '--ignore-not-found', `clusterrole/${ROLE}`, `clusterrolebinding/${ROLE}`])
  await rm(directory, { recursive: true, force: true })
})

test('all is well to begin with', async () => {
  await countersign.checkSays('templates', '"pass"')
  const { failed } = await countersign.check('--wait', '30s')
  expect(failed).toEqual([])
})

describe('a template', () => {
  test('whose ttl the broker does not allow', async () => {
    await cluster.apply(template('endless', { serviceAccounts: [`${NAMESPACE}/claimed`], ttl: '100d' }))
    const { findings, remedy } = await countersign.checkSays('templates', 'endless', 'ttl')
    expect(findings?.map(({ subject }) => subject)).toEqual([`${NAMESPACE}-endless`])
    expect(remedy).toContain('kubectl describe identitytemplate')
  })

  test('that claims what another claims', async () => {
    await cluster.apply(template('one', { serviceAccounts: [`${NAMESPACE}/claimed`] }))
    await cluster.apply(template('two', { serviceAccounts: [`${NAMESPACE}/claimed`], ttl: '10m' }))
    await cluster.apply(
      identityPod({ namespace: NAMESPACE, name: 'claimed', node: 'node-a', serviceAccount: 'claimed' }),
    )
    const explained = await countersign.explanationSays(
      NAMESPACE,
      'claimed',
      'template_ambiguous',
      'Narrow the selectors',
    )
    expect(explained.trouble).toMatch(new RegExp(`${NAMESPACE}-one.*${NAMESPACE}-two`, 's'))
    await countersign.checkSays(
      'templates',
      'selects pod diagnosis-objects/claimed, too',
      `${NAMESPACE}-one`,
      `${NAMESPACE}-two`,
    )
    await cluster.kubectl(['delete', 'identitytemplate', `${NAMESPACE}-two`])
    await cluster.waitUntilPodReady(NAMESPACE, 'claimed', { timeout: 120_000 })
  })
})

/** Without each, the rest works: what it is, and what the broker says is missing. */
const missing: [what: string, apiGroup: string, resource: string][] = [
  ['watch the templates', 'countersign.dev', 'identitytemplates'],
  ['say what is wrong with a template', 'countersign.dev', 'identitytemplates/status'],
  ['know the pods', '', 'pods'],
]

describe('the broker may not', () => {
  test.for(missing)('%s', { timeout: 240_000 }, async ([, apiGroup, resource]) => {
    await allow(
      RULES.filter(({ apiGroups, resources }) => !(apiGroups.includes(apiGroup) && resources.includes(resource))),
    )
    // Only a new list, watch or status asks again.
    await countersign.installation.broker.stop()
    await countersign.installation.broker.startWithoutWaiting()
    try {
      await cluster.apply(template(`asks-${resource.length}`, { serviceAccounts: [`${NAMESPACE}/nobody`] }))
      const { findings = [] } = await countersign.checkSays('broker-problems', 'kubernetes_forbidden', resource)
      const finding = findings.find(({ reason }) => reason.includes(resource))
      expect(finding?.remedy).toMatch(new RegExp(`resources: ?\\["?${resource}"?\\]`))
    } finally {
      await allow(RULES)
    }
    await countersign.checkSays('broker-problems', '"pass"')
  })
})
