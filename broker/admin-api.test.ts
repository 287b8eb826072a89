import { connect } from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { AdminService, SvidKind, Verdict } from '../proto/gen/countersign/admin/v1/admin_pb.ts'
import { type AdminConnection, bearer, connectAdmin, refusal } from '../test/fakes/admin-client.ts'
import { ADMIN_AUDIENCE, AdminScene, OPTIONS } from '../test/fakes/admin-scene.ts'
import { auditRecords } from '../test/fakes/audit-records.ts'
import type { FakeKubernetes } from '../test/fakes/fake-kubernetes.ts'
import type { ClientIdentity } from '../test/fakes/node-client.ts'
import { AUDIENCE, runningBroker } from '../test/fakes/running-broker.ts'
import { TokenIssuer } from '../test/fakes/token-issuer.ts'
import { type AdminMethod, PERMISSIONS } from './admin/permissions.ts'

const METHODS = Object.keys(AdminService.method) as AdminMethod[]

/** Says that it is the cluster's. */
const stranger = new TokenIssuer()

let scene: AdminScene
let cart: ClientIdentity & { readonly podUid: string }
let serialNumber: string

beforeAll(async () => {
  scene = await AdminScene.start()
  scene.pod('cart-0')
  cart = await scene.issue('cart-0')
  const { podUid } = cart
  const { identities } = await scene.admin.service.listIdentities({ podUid }, asOperator())
  serialNumber = identities[0]?.serialNumber ?? ''
  const to = 'spiffe://prod.example/ns/shop/sa/cart'
  scene.kubernetes.authorizer.grants.push({ to, verb: 'get', resource: 'trustbundles' })
  scene.kubernetes.authorizer.grants.push({ to: 'countersign:svids', verb: 'get', resource: 'brokerstatuses' })
})
afterAll(() => scene.stop())

const asOperator = () => bearer(scene.tokenOf('operator'))

/** Whatever the method, a request that it answers. */
function ask(
  method: AdminMethod,
  options: Parameters<AdminConnection['service']['getStatus']>[1],
  service = scene.admin.service,
) {
  switch (method) {
    case 'getIdentity':
      return service.getIdentity({ serialNumber: serialNumber }, options)
    case 'explainPod':
      return service.explainPod({ namespace: 'shop', name: 'cart-0' }, options)
    default:
      return (service[method] as AdminConnection['service']['getStatus'])({}, options)
  }
}

describe.for(METHODS)('%s', (method) => {
  const { verb, resource } = PERMISSIONS[method]

  test('answers whom RBAC lets', async () => {
    await expect(ask(method, asOperator())).resolves.toBeDefined()
  })

  test('names the rule that is missing', async () => {
    const { code, message, facts } = await refusal(ask(method, bearer(scene.tokenOf('nobody'))))
    expect(code).toBe('admin_permission_denied')
    expect(facts).toMatchObject({ verb, resource, group: 'countersign.dev', user: 'system:serviceaccount:ops:nobody' })
    expect(message).toContain(`may not ${verb} ${resource}.countersign.dev in`)
    expect(message).toContain(`{ apiGroups: ["countersign.dev"], resources: ["${resource}"], verbs: ["${verb}"] }`)
  })

  test.for<{ name: string; options: () => Parameters<typeof ask>[1]; code: string }>([
    { name: 'nothing at all', options: () => OPTIONS, code: 'admin_credentials_required' },
    {
      name: "a pod's audience",
      options: () => bearer(scene.tokenOf('operator', AUDIENCE)),
      code: 'token_audience_wrong',
    },
    {
      name: "the API server's own audience",
      options: () => bearer(scene.tokenOf('operator', scene.kubernetes.issuer.issuer)),
      code: 'token_audience_wrong',
    },
    {
      name: 'a token that has expired',
      options: () => bearer(scene.tokenOf('operator', ADMIN_AUDIENCE, { issuedAt: new Date('2026-01-01') })),
      code: 'token_expired',
    },
    {
      name: 'a token for a day',
      options: () => bearer(scene.tokenOf('operator', ADMIN_AUDIENCE, { lifetimeSeconds: 86_400 })),
      code: 'token_too_long_lived',
    },
    {
      name: 'a token that nobody of the cluster has signed',
      options: () => {
        const facts = scene.kubernetes.state.factsOf('ops', { serviceAccount: 'operator' })
        return bearer(stranger.mint({ facts, audience: ADMIN_AUDIENCE }))
      },
      code: 'token_signature_invalid',
    },
    { name: 'junk', options: () => bearer('a.b.c'), code: 'token_malformed' },
    {
      name: 'basic credentials',
      options: () => ({ ...OPTIONS, metadata: { authorization: 'Basic YTpi' } }),
      code: 'admin_credentials_required',
    },
  ])('refuses $name, and asks the API server nothing', async ({ options, code }) => {
    const before = scene.kubernetes.reviews
    expect(await refusal(ask(method, options()))).toMatchObject({ code })
    expect(scene.kubernetes.reviews).toBe(before)
  })

  test("refuses an agent's SVID", async () => {
    const connection = scene.connect(scene.agent.identity)
    const error = await refusal(ask(method, OPTIONS, connection.service))
    connection.close()
    expect(error.code).toBe('admin_certificate_invalid')
  })
})

describe('namespaces', () => {
  test('a rule in one namespace allows what is asked of it, and shows nothing else', async () => {
    const options = bearer(scene.tokenOf('namespaced'))
    const { identities } = await scene.admin.service.listIdentities({ namespace: 'shop' }, options)
    expect(identities.map(({ namespace }) => namespace)).toEqual(['shop'])
    expect((await scene.admin.service.getIdentity({ serialNumber, namespace: 'shop' }, options)).details?.podName).toBe(
      'cart-0',
    )
    expect((await scene.admin.service.listAuditRecords({ namespace: 'shop' }, options)).records.length).toBeGreaterThan(
      0,
    )
    expect((await scene.admin.service.explainPod({ namespace: 'shop', name: 'cart-0' }, options)).verdict).toBe(
      Verdict.AT_RISK,
    )
  })

  test.for<{ name: string; ask: (options: ReturnType<typeof bearer>) => Promise<unknown>; code: string }>([
    { name: 'all of them', ask: (o) => scene.admin.service.listIdentities({}, o), code: 'admin_permission_denied' },
    {
      name: 'another one',
      ask: (o) => scene.admin.service.listIdentities({ namespace: 'ops' }, o),
      code: 'admin_permission_denied',
    },
    {
      name: 'a pod of another one',
      ask: (o) => scene.admin.service.explainPod({ namespace: 'ops', name: 'x' }, o),
      code: 'admin_permission_denied',
    },
    {
      name: 'what has no namespace',
      ask: (o) => scene.admin.service.listAgents({}, o),
      code: 'admin_permission_denied',
    },
    { name: 'an agent by number', ask: (o) => agentSerial(o), code: 'identity_not_found' },
  ])('does not allow $name', async ({ ask: asked, code }) => {
    expect(await refusal(asked(bearer(scene.tokenOf('namespaced'))))).toMatchObject({ code })
  })

  async function agentSerial(options: ReturnType<typeof bearer>) {
    const { identities } = await scene.admin.service.listIdentities({ kind: SvidKind.AGENT }, asOperator())
    return scene.admin.service.getIdentity(
      { serialNumber: identities[0]?.serialNumber ?? '', namespace: 'shop' },
      options,
    )
  }
})

describe('SVIDs', () => {
  test('a workload is known by its SPIFFE ID, and by the group of all of them', async () => {
    const connection = scene.connect(cart)
    expect(await connection.service.getBundle({}, OPTIONS)).toMatchObject({ trustDomain: 'prod.example' })
    expect(await connection.service.getStatus({}, OPTIONS)).toMatchObject({ trustDomain: 'prod.example' })
    const { code, facts } = await refusal(connection.service.listAgents({}, OPTIONS))
    connection.close()
    expect(code).toBe('admin_permission_denied')
    expect(facts['user']).toBe('spiffe://prod.example/ns/shop/sa/cart')
    expect(scene.kubernetes.authorizer.reviews.at(-1)).toMatchObject({ groups: ['countersign:svids'], extra: {} })
  })

  test('a token that comes with the call says who calls, whatever the certificate', async () => {
    for (const identity of [cart, scene.agent.identity]) {
      const connection = scene.connect(identity)
      await expect(connection.service.listAgents({}, asOperator())).resolves.toBeDefined()
      connection.close()
    }
  })
})

describe('the API server', () => {
  test('is told all that it said of the caller, and asked once for a while', async () => {
    const options = asOperator()
    await scene.admin.service.getBundle({}, options)
    const before = { reviews: scene.kubernetes.reviews, asked: scene.kubernetes.authorizer.reviews.length }
    expect(scene.kubernetes.authorizer.reviews.at(-1)).toMatchObject({
      user: 'system:serviceaccount:ops:operator',
      groups: ['system:serviceaccounts', 'system:serviceaccounts:ops', 'system:authenticated'],
      extra: { 'authentication.kubernetes.io/credential-id': [expect.stringMatching(/^JTI=/)] },
      resourceAttributes: { group: 'countersign.dev', resource: 'trustbundles', verb: 'get' },
    })
    await scene.admin.service.getBundle({}, options)
    expect([scene.kubernetes.reviews, scene.kubernetes.authorizer.reviews.length]).toEqual([
      before.reviews,
      before.asked,
    ])
  })

  test('is asked anew whether a caller may that it did not let', async () => {
    const options = bearer(scene.tokenOf('breaker'))
    expect((await refusal(scene.admin.service.getBundle({}, options))).code).toBe('admin_permission_denied')
    const grant = { to: 'system:serviceaccount:ops:breaker', verb: 'get', resource: 'trustbundles' }
    scene.kubernetes.authorizer.grants.push(grant)
    await expect(scene.admin.service.getBundle({}, options)).resolves.toBeDefined()
  })

  test.for<{ name: string; rewrite: NonNullable<FakeKubernetes['rewriteReview']> }>([
    { name: 'echoes no audience', rewrite: (status) => ({ ...status, audiences: [] }) },
    { name: 'echoes another', rewrite: (status) => ({ ...status, audiences: [AUDIENCE] }) },
    { name: 'carries an error', rewrite: (status) => ({ ...status, error: 'odd' }) },
    { name: 'does not authenticate', rewrite: (status) => ({ ...status, authenticated: false }) },
    { name: 'names nobody', rewrite: (status) => ({ ...status, user: {} }) },
    { name: 'names another', rewrite: (status) => ({ ...status, user: { ...status.user, username: 'system:admin' } }) },
    {
      name: 'names groups that are none',
      rewrite: (status) => ({ ...status, user: { ...status.user, groups: 'system:masters' as unknown as string[] } }),
    },
  ])('is not believed where its review $name', async ({ rewrite }) => {
    scene.kubernetes.rewriteReview = rewrite
    const error = await refusal(scene.admin.service.getStatus({}, asOperator()))
    scene.kubernetes.rewriteReview = undefined
    expect(error.code).toBe('token_rejected')
  })

  test('does not let the broker ask: the caller learns which rule the broker lacks', async () => {
    const message =
      'subjectaccessreviews.authorization.k8s.io is forbidden: User "system:serviceaccount:countersign-system:countersign-broker" ' +
      'cannot create resource "subjectaccessreviews" in API group "authorization.k8s.io" at the cluster scope'
    const body = JSON.stringify({ kind: 'Status', status: 'Failure', code: 403, message })
    scene.kubernetes.fault = (path) => (path.includes('subjectaccessreviews') ? { status: 403, body } : undefined)
    const error = await refusal(scene.admin.service.listAgents({}, asOperator()))
    scene.kubernetes.fault = undefined
    expect(error.code).toBe('kubernetes_forbidden')
    expect(error.facts['rule']).toContain('resources: ["subjectaccessreviews"], verbs: ["create"]')
    // It goes through again, and so nothing is wrong any more.
    const { problems } = await scene.admin.service.getStatus({}, asOperator())
    expect(problems).toEqual([])
  })

  test('is away: nobody is let in, and it says so', async () => {
    scene.kubernetes.fault = (path) => (path.includes('subjectaccessreviews') ? 'reset' : undefined)
    const error = await refusal(scene.admin.service.listAgents({}, asOperator()))
    scene.kubernetes.fault = undefined
    expect(error.code).toBe('kubernetes_unavailable')
  })
})

test('a client that offers TLS 1.2 is not served', async () => {
  const socket = connect({
    port: scene.broker.adminPort,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    maxVersion: 'TLSv1.2',
  })
  await expect(
    new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject)),
  ).rejects.toThrow(/protocol version/)
  socket.destroy()
})

test('every call is recorded, with who and what and why not; no token is', async () => {
  const other = await runningBroker({
    change: {
      attestation: { mode: 'tokenReview' },
      kubernetes: { kubeconfig: scene.kubernetes.adminKubeconfig },
      admin: { listen: '127.0.0.1:0' },
    },
  })
  const connection = connectAdmin(other.adminPort ?? 0, other.folder.bundleFile)
  const token = scene.tokenOf('operator')
  await connection.service.listIdentities({ namespace: 'shop', podUid: 'uid-1' }, bearer(token))
  await refusal(connection.service.listAgents({}, bearer(scene.tokenOf('nobody'))))
  for (let call = 0; call < 100; call += 1) await refusal(connection.service.getStatus({}, OPTIONS))
  connection.close()
  await other.stop()
  const records = auditRecords(other.folder.ledgerFile).filter(({ event }) => String(event).startsWith('admin_'))
  expect(records[0]).toMatchObject({
    event: 'admin_called',
    method: 'listIdentities',
    user: 'system:serviceaccount:ops:operator',
    shownBy: 'token',
    credential: expect.stringMatching(/^JTI=/),
    verb: 'list',
    resource: 'workloadidentities',
    namespace: 'shop',
    target: 'uid-1',
  })
  expect(records[1]).toMatchObject({
    event: 'admin_refused',
    code: 'admin_permission_denied',
    method: 'listAgents',
    user: 'system:serviceaccount:ops:nobody',
  })
  expect(records[2]).toMatchObject({ event: 'admin_refused', code: 'admin_credentials_required', method: 'getStatus' })
  expect(records[2]).not.toHaveProperty('user')
  expect(records.length).toBeLessThan(60)
  expect(JSON.stringify(records)).not.toContain(token.split('.')[2])
})
