/** The admin API against the real API server: its TokenReviews, its SubjectAccessReviews, and what its RBAC says. */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type AdminMethod, PERMISSIONS } from '../broker/admin/permissions.ts'
import { StepOutcome, Verdict } from '../proto/gen/countersign/admin/v1/admin_pb.ts'
import { attachCluster } from './cluster/attach.ts'
import type { Cluster } from './cluster/cluster.ts'
import { type AdminConnection, bearer, connectAdmin, refusal } from './fakes/admin-client.ts'
import { auditRecords } from './fakes/audit-records.ts'
import { type ClientIdentity, connectTo, newCsr } from './fakes/node-client.ts'
import { type BrokerFolder, brokerFolder, runningBroker } from './fakes/running-broker.ts'

const OPS = 'admin-test-ops'
const SHOP = 'admin-test-shop'
const DOMAIN = 'admin.example'
const AUDIENCE = `countersign.dev/${DOMAIN}`
const ADMIN_AUDIENCE = `${AUDIENCE}/admin`
const OPTIONS = { timeoutMs: 10_000 }
const WORKLOAD_ID = `spiffe://${DOMAIN}/ns/${SHOP}/sa/workload`
const CLUSTER_ROLES = ['admin-test-broker', 'admin-test-operator', 'admin-test-svid', 'admin-test-lookup']

let cluster: Cluster
let folder: BrokerFolder
let broker: Awaited<ReturnType<typeof runningBroker>>
let admin: AdminConnection

type Rule = Readonly<Record<'apiGroups' | 'resources' | 'verbs', readonly string[]>>

/** A role with its binding; in a namespace, or of the whole cluster. */
function granted(name: string, rules: readonly Rule[], subject: object, namespace?: string): object[] {
  const prefix = namespace === undefined ? 'Cluster' : ''
  const metadata = { name, ...(namespace !== undefined && { namespace }) }
  const apiVersion = 'rbac.authorization.k8s.io/v1'
  return [
    { apiVersion, kind: `${prefix}Role`, metadata, rules },
    {
      apiVersion,
      kind: `${prefix}RoleBinding`,
      metadata,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: `${prefix}Role`, name },
      subjects: [subject],
    },
  ]
}

const rule = (resource: string, ...verbs: string[]): Rule => ({ apiGroups: ['countersign.dev'], resources: [resource], verbs }) // prettier-ignore
const serviceAccount = (name: string) => ({ kind: 'ServiceAccount', name, namespace: OPS })

beforeAll(async () => {
  cluster = await attachCluster()
  await cluster.createNamespace(OPS)
  await cluster.createNamespace(SHOP)
  const accounts = ['broker', 'operator', 'clerk', 'leaving']
  await cluster.apply(
    accounts.map((name) => ({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace: OPS } })),
  )
  await cluster.apply([
    ...granted(
      'admin-test-broker',
      [
        { apiGroups: ['authentication.k8s.io'], resources: ['tokenreviews'], verbs: ['create'] },
        { apiGroups: ['authorization.k8s.io'], resources: ['subjectaccessreviews'], verbs: ['create'] },
        { apiGroups: [''], resources: ['pods'], verbs: ['get'] },
      ],
      serviceAccount('broker'),
    ),
    ...granted(
      'admin-test-operator',
      Object.values(PERMISSIONS).map(({ resource, verb }) => rule(resource, verb)),
      serviceAccount('operator'),
    ),
    ...granted('admin-test-svid', [rule('trustbundles', 'get')], {
      kind: 'User',
      name: WORKLOAD_ID,
      apiGroup: 'rbac.authorization.k8s.io',
    }),
    ...granted(
      'clerk',
      [rule('workloadidentities', 'list'), rule('podexplanations', 'get')],
      serviceAccount('clerk'),
      SHOP,
    ),
  ])
  folder = brokerFolder()
  const kubeconfig = join(folder.directory, 'kubeconfig')
  const token = await cluster.createToken({ namespace: OPS, serviceAccount: 'broker' })
  writeFileSync(kubeconfig, kubeconfigOf(token), { mode: 0o600 })
  broker = await runningBroker({
    folder,
    change: {
      trustDomain: DOMAIN,
      attestation: { agents: [`${OPS}/agent`] },
      kubernetes: { kubeconfig },
      admin: { listen: '127.0.0.1:0' },
    },
  })
  admin = connectAdmin(broker.adminPort ?? 0, folder.bundleFile)
})

afterAll(async () => {
  admin.close()
  await broker.stop()
  rmSync(folder.directory, { recursive: true })
  await cluster.kubectl(['delete', 'clusterrole,clusterrolebinding', ...CLUSTER_ROLES, '--ignore-not-found'])
  await cluster.deleteNamespace(OPS)
  await cluster.deleteNamespace(SHOP)
})

function kubeconfigOf(token: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster: { server: cluster.apiServerUrl, 'certificate-authority': cluster.caFile } }],
    users: [{ name: 'u', user: { token } }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  })
}

const as = async (name: string, audience = ADMIN_AUDIENCE) =>
  bearer(await cluster.createToken({ namespace: OPS, serviceAccount: name, audience }))

function call(method: AdminMethod, options: typeof OPTIONS) {
  switch (method) {
    case 'getIdentity':
      return admin.service.getIdentity({ serialNumber: '40', namespace: SHOP }, options)
    case 'explainPod':
      return admin.service.explainPod({ namespace: SHOP, name: 'nobody' }, options)
    default:
      return (admin.service[method] as AdminConnection['service']['getStatus'])({}, options)
  }
}

/** Attests an agent and issues an SVID, each with the token of a pod that stands for it. */
async function workloadSvid(): Promise<ClientIdentity> {
  const tokenOfPod = async (namespace: string, name: string) => {
    const pod = await cluster.createPlaceholderPod({ namespace, serviceAccount: name, node: 'node-a' })
    const token = await cluster.createToken({ namespace, serviceAccount: name, audience: AUDIENCE, pod })
    return { token, uid: (await cluster.pod(namespace, pod)).metadata.uid }
  }
  const agentKey = await newCsr()
  const stranger = connectTo(broker, folder)
  const { token: serviceAccountToken } = await tokenOfPod(OPS, 'agent')
  const { svid } = await stranger.service.attestNode({ serviceAccountToken, csr: agentKey.csr }, OPTIONS)
  stranger.close()
  const agent = connectTo(broker, folder, { chain: svid?.certificateChain ?? [], privateKey: agentKey.privateKey })
  const { token, uid } = await tokenOfPod(SHOP, 'workload')
  const { csr, privateKey } = await newCsr()
  const requests = [{ requestId: 'r', serviceAccountToken: token, csr, podUid: uid }]
  const { results } = await agent.service.issueX509Svids({ requests }, OPTIONS)
  agent.close()
  const outcome = results[0]?.outcome
  if (outcome?.case !== 'svid') throw new Error(`refused: ${outcome?.value?.message}`)
  return { chain: outcome.value.certificateChain, privateKey }
}

describe('a ClusterRole', () => {
  test.for(Object.keys(PERMISSIONS) as AdminMethod[])('allows %s', async (method) => {
    const answered = call(method, await as('operator'))
    if (method === 'getIdentity') expect((await refusal(answered)).code).toBe('identity_not_found')
    else await expect(answered).resolves.toBeDefined()
  })
})

describe('a Role in one namespace', () => {
  test('allows what it names, there', async () => {
    const options = await as('clerk')
    await expect(admin.service.listIdentities({ namespace: SHOP }, options)).resolves.toBeDefined()
    const { verdict } = await admin.service.explainPod({ namespace: SHOP, name: 'nobody' }, options)
    expect(verdict).toBe(Verdict.NO_POD)
  })

  test.for<{ name: string; asked: (options: typeof OPTIONS) => Promise<unknown>; facts: Record<string, string> }>([
    {
      name: 'another verb',
      asked: (options) => admin.service.getIdentity({ serialNumber: '40', namespace: SHOP }, options),
      facts: { verb: 'get', resource: 'workloadidentities', namespace: SHOP },
    },
    {
      name: 'another namespace',
      asked: (options) => admin.service.listIdentities({ namespace: OPS }, options),
      facts: { verb: 'list', resource: 'workloadidentities', namespace: OPS },
    },
    {
      name: 'all namespaces',
      asked: (options) => admin.service.listIdentities({}, options),
      facts: { verb: 'list', resource: 'workloadidentities', namespace: '' },
    },
    {
      name: 'another resource',
      asked: (options) => admin.service.listAuditRecords({ namespace: SHOP }, options),
      facts: { verb: 'list', resource: 'auditrecords', namespace: SHOP },
    },
    {
      name: 'what has no namespace',
      asked: (options) => admin.service.getStatus({}, options),
      facts: { verb: 'get', resource: 'brokerstatuses', namespace: '' },
    },
  ])('does not allow $name, and the refusal names the rule', async ({ asked, facts }) => {
    const error = await refusal(asked(await as('clerk')))
    expect(error.code).toBe('admin_permission_denied')
    expect(error.facts).toEqual({ user: `system:serviceaccount:${OPS}:clerk`, group: 'countersign.dev', ...facts })
  })

  test('that is taken away is over within seconds', async () => {
    const options = await as('clerk')
    await admin.service.listIdentities({ namespace: SHOP }, options)
    await cluster.kubectl(['delete', 'rolebinding', 'clerk', '--namespace', SHOP])
    await expect
      .poll(
        () => admin.service.listIdentities({ namespace: SHOP }, options).then(String, ({ code }) => code as string),
        {
          timeout: 20_000,
          interval: 500,
        },
      )
      .toBe('admin_permission_denied')
  })
})

describe('tokens', () => {
  test.for([
    { name: 'of the API server itself', audience: undefined, code: 'token_audience_wrong' },
    { name: 'of pods', audience: AUDIENCE, code: 'token_audience_wrong' },
    { name: 'of another trust domain', audience: 'countersign.dev/other.example/admin', code: 'token_audience_wrong' },
  ])('$name are refused', async ({ audience, code }) => {
    const token = await cluster.createToken({
      namespace: OPS,
      serviceAccount: 'operator',
      ...(audience !== undefined && { audience }),
    })
    expect((await refusal(admin.service.getStatus({}, bearer(token)))).code).toBe(code)
  })

  test('of a ServiceAccount that is gone are void within seconds', async () => {
    const options = await as('leaving')
    expect((await refusal(admin.service.getStatus({}, options))).code).toBe('admin_permission_denied')
    await cluster.kubectl(['delete', 'serviceaccount', 'leaving', '--namespace', OPS])
    await expect
      .poll(() => refusal(admin.service.getStatus({}, options)).then(({ code }) => code), {
        timeout: 40_000,
        interval: 1_000,
      })
      .toBe('token_rejected')
  })
})

test('an SVID is a user of RBAC by its SPIFFE ID', async () => {
  const connection = connectAdmin(broker.adminPort ?? 0, folder.bundleFile, await workloadSvid())
  expect(await connection.service.getBundle({}, OPTIONS)).toMatchObject({ trustDomain: DOMAIN })
  const error = await refusal(connection.service.getStatus({}, OPTIONS))
  connection.close()
  expect(error.code).toBe('admin_permission_denied')
  expect(error.facts['user']).toBe(WORKLOAD_ID)
})

describe('explain pod', () => {
  const explain = async (name: string) => admin.service.explainPod({ namespace: SHOP, name }, await as('operator'))

  test('a pod on a node without an agent, of a ServiceAccount that may not be looked up', async () => {
    await cluster.apply({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'stuck', namespace: SHOP },
      spec: {
        nodeName: 'node-b',
        terminationGracePeriodSeconds: 0,
        containers: [
          {
            name: 'main',
            image: 'localhost/busybox:test',
            imagePullPolicy: 'Never',
            command: ['sleep', '3600'],
            volumeMounts: [{ name: 'identity', mountPath: '/id' }],
          },
        ],
        volumes: [{ name: 'identity', csi: { driver: 'csi.countersign.dev', readOnly: true } }],
      },
    })
    const explained = await explain('stuck')
    expect(explained).toMatchObject({
      verdict: Verdict.NO_IDENTITY,
      summary: 'The pod has no identity: The agent of the node node-b is not connected to the broker.',
      spiffeId: `spiffe://${DOMAIN}/ns/${SHOP}/sa/default`,
    })
    const step = explained.steps.find(({ name }) => name === 'service-account')
    expect(step).toMatchObject({ outcome: StepOutcome.UNKNOWN, code: 'kubernetes_forbidden' })
    expect(step?.remedy).toContain('resources: ["serviceaccounts"], verbs: ["get"]')
    const { problems } = await admin.service.getStatus({}, await as('operator'))
    expect(problems.map(({ code }) => code)).toEqual(['kubernetes_forbidden'])

    await cluster.apply(
      granted(
        'admin-test-lookup',
        [{ apiGroups: [''], resources: ['serviceaccounts'], verbs: ['get'] }],
        serviceAccount('broker'),
      ),
    )
    await expect
      .poll(async () => (await explain('stuck')).steps.find(({ name }) => name === 'service-account')?.outcome, {
        timeout: 20_000,
        interval: 500,
      })
      .toBe(StepOutcome.OK)
    expect((await admin.service.getStatus({}, await as('operator'))).problems).toEqual([])
  })
})

test('the audit names the tokens as the audit log of the API server does, and holds none', async () => {
  const { records } = await admin.service.listAuditRecords({ events: ['admin_called'] }, await as('operator'))
  const [newest] = records.map(({ record }) => JSON.parse(record) as Record<string, unknown>)
  expect(newest).toMatchObject({
    user: `system:serviceaccount:${OPS}:operator`,
    shownBy: 'token',
    credential: expect.stringMatching(/^JTI=[0-9a-f-]{36}$/),
  })
  expect(JSON.stringify(auditRecords(folder.ledgerFile))).not.toMatch(/eyJ[\w-]+\.[\w-]+\./)
})
