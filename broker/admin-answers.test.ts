import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { StepOutcome, SvidKind, SvidState, Verdict } from '../proto/gen/countersign/admin/v1/admin_pb.ts'
import { type AdminConnection, bearer, refusal } from '../test/fakes/admin-client.ts'
import { ADMIN_AUDIENCE, AdminScene, CART, VOLUME } from '../test/fakes/admin-scene.ts'
import { AUDIENCE } from '../test/fakes/running-broker.ts'

const { OK, FAILED } = StepOutcome

let scene: AdminScene
let serialNumber: string

beforeAll(async () => {
  scene = await AdminScene.start()
  scene.pod('cart-0')
  const { podUid } = await scene.issue('cart-0')
  const { identities } = await scene.admin.service.listIdentities({ podUid }, asOperator())
  serialNumber = identities[0]?.serialNumber ?? ''
})
afterAll(() => scene.stop())

const asOperator = () => bearer(scene.tokenOf('operator'))

describe('requests that are wrong', () => {
  const good = Buffer.from(JSON.stringify({ after: '40aa', of: 'x' })).toString('base64url')
  test.for<{ name: string; ask: () => Promise<unknown>; says: string }>([
    {
      name: 'a page that is too large',
      ask: () => scene.admin.service.listIdentities({ pageSize: 501 }, asOperator()),
      says: 'page_size',
    },
    {
      name: 'a page token that is none',
      ask: () => scene.admin.service.listIdentities({ pageToken: '%%%' }, asOperator()),
      says: 'page_token',
    },
    {
      name: 'a page token of no JSON',
      ask: () => scene.admin.service.listAgents({ pageToken: 'AAAA' }, asOperator()),
      says: 'page_token',
    },
    {
      name: 'a page token of another list',
      ask: () => scene.admin.service.listAuditRecords({ pageToken: good }, asOperator()),
      says: 'page_token',
    },
    {
      name: 'a page token that is long',
      ask: () => scene.admin.service.listTemplates({ pageToken: 'A'.repeat(5000) }, asOperator()),
      says: 'page_token',
    },
    {
      name: 'a SPIFFE ID that is none',
      ask: () => scene.admin.service.listIdentities({ spiffeId: 'spiffe://a b' }, asOperator()),
      says: 'spiffe_id: not a',
    },
    {
      name: 'a prefix that is none',
      ask: () => scene.admin.service.listIdentities({ spiffeIdPrefix: 'prod.example' }, asOperator()),
      says: 'spiffe_id_prefix: ',
    },
    {
      name: 'a kind that is not known',
      ask: () => scene.admin.service.listIdentities({ kind: 99 as SvidKind }, asOperator()),
      says: 'kind has the value 99',
    },
    {
      name: 'a state that is not known',
      ask: () => scene.admin.service.listIdentities({ state: 99 as SvidState }, asOperator()),
      says: 'state has the value 99',
    },
    {
      name: 'control characters',
      ask: () => scene.admin.service.listIdentities({ nodeName: 'a\nb' }, asOperator()),
      says: 'node_name',
    },
    {
      name: 'no serial number',
      ask: () => scene.admin.service.getIdentity({}, asOperator()),
      says: 'serial_number is missing',
    },
    {
      name: 'a serial number that is none',
      ask: () => scene.admin.service.getIdentity({ serialNumber: 'xyz' }, asOperator()),
      says: 'serial_number is no',
    },
    {
      name: 'a pod without a name',
      ask: () => scene.admin.service.explainPod({ namespace: 'shop' }, asOperator()),
      says: 'name is not',
    },
    {
      name: 'a name that leads elsewhere',
      ask: () => scene.admin.service.explainPod({ namespace: 'shop', name: '../secrets/x' }, asOperator()),
      says: 'name is not',
    },
    {
      name: 'an event that is none',
      ask: () => scene.admin.service.listAuditRecords({ events: ['a"b'] }, asOperator()),
      says: 'events',
    },
    {
      name: 'a time that is none',
      ask: () => scene.admin.service.listAuditRecords({ since: { seconds: 10n ** 17n, nanos: 0 } }, asOperator()),
      says: 'since',
    },
  ])('$name', async ({ ask: asked, says }) => {
    const { code, message } = await refusal(asked())
    expect(code).toBe('request_invalid')
    expect(message).toContain(says)
  })

  test('a page token goes with the request that it came from, page by page to the end', async () => {
    const first = await scene.admin.service.listIdentities({ pageSize: 1 }, asOperator())
    expect(first.identities).toHaveLength(1)
    const pageToken = first.nextPageToken
    expect(
      (await refusal(scene.admin.service.listIdentities({ pageSize: 1, pageToken, namespace: 'shop' }, asOperator())))
        .code,
    ).toBe('request_invalid')
    const seen = first.identities.map(({ serialNumber }) => serialNumber)
    for (let next = pageToken; next !== '';) {
      const page = await scene.admin.service.listIdentities({ pageSize: 2, pageToken: next }, asOperator())
      seen.push(...page.identities.map(({ serialNumber }) => serialNumber))
      next = page.nextPageToken
    }
    expect(new Set(seen).size).toBe(seen.length)
    expect(seen.length).toBeGreaterThanOrEqual(3)
    expect(seen.toSorted().toReversed()).toEqual(seen)
  })
})

describe('answers', () => {
  test('the status', async () => {
    const status = await scene.admin.service.getStatus({}, asOperator())
    expect(status).toMatchObject({
      trustDomain: 'prod.example',
      notReady: [],
      problems: [],
      agentsConnected: 0,
      agentsMissing: 1,
      settings: {
        attestationMode: 'tokenReview',
        audience: AUDIENCE,
        adminAudience: ADMIN_AUDIENCE,
        agentServiceAccounts: ['countersign-agent/countersign-agent'],
      },
    })
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
    expect(status.version).toBe(version)
    expect(status.bundleSequence).toBeGreaterThan(0n)
    expect(status.activeAuthorityNotAfter).toBeDefined()
  })

  test('the authorities and the bundle', async () => {
    const { authorities, nextPreparation } = await scene.admin.service.listAuthorities({}, asOperator())
    const bundle = await scene.admin.service.getBundle({}, asOperator())
    expect(authorities).toHaveLength(1)
    expect(bundle.x509Authorities.map((der) => Buffer.from(der))).toEqual(
      authorities.map(({ certificate }) => Buffer.from(certificate)),
    )
    expect(nextPreparation).toBeDefined()
    expect(JSON.parse(bundle.document)).toMatchObject({ spiffe_sequence: Number(bundle.sequence) })
  })

  test('an agent as long as it is connected, with what it says, and afterwards as one that is missed', async () => {
    const leaving = new AbortController()
    const stream = scene.agent.service.sync({ signal: leaving.signal })
    const agentTime = { seconds: BigInt(Math.floor(performance.timeOrigin / 1000)) - 3600n, nanos: 0 }
    stream.send({ message: { case: 'hello', value: { agentVersion: '1.2.3', agentTime } } })
    const iterator = stream.responses[Symbol.asyncIterator]()
    const { value } = await iterator.next()
    const connected = await scene.admin.service.listAgents({}, asOperator())
    expect(connected.agents).toMatchObject([{ nodeName: 'node-a', connected: true, version: '1.2.3', upToDate: false }])
    expect(Number(connected.agents[0]?.clockSkew?.seconds)).toBeLessThan(-3500)
    stream.send({ message: { case: 'acknowledgement', value: { kind: value.kind, revision: value.revision } } })
    await expect
      .poll(async () => (await scene.admin.service.listAgents({ onlyWanting: true }, asOperator())).agents)
      .toEqual([])
    leaving.abort(new Error('done'))
    await iterator.next().catch(() => {})
    await expect
      .poll(async () => (await scene.admin.service.listAgents({ onlyWanting: true }, asOperator())).agents)
      .toMatchObject([{ nodeName: 'node-a', connected: false, upToDate: true }])
  })

  test('SVIDs by all that they are known by', async () => {
    const podUid = scene.kubernetes.state.get('pods', CART).metadata.uid
    const found = async (request: Parameters<AdminConnection['service']['listIdentities']>[0]) =>
      (await scene.admin.service.listIdentities(request, asOperator())).identities.map(
        ({ serialNumber }) => serialNumber,
      )
    for (const request of [
      { podUid },
      { namespace: 'shop', state: SvidState.VALID },
      { spiffeId: 'spiffe://prod.example/ns/shop/sa/cart' },
      { spiffeIdPrefix: 'spiffe://prod.example/ns/shop/' },
      { serviceAccount: 'cart' },
      { nodeName: 'node-a', kind: SvidKind.WORKLOAD },
    ]) {
      expect(await found(request), JSON.stringify(request)).toEqual([serialNumber])
    }
    expect(await found({ spiffeIdPrefix: 'spiffe://prod.example/ns/sho' })).toEqual([])
    expect(await found({ state: SvidState.EXPIRED })).toEqual([])
    const pasted = `00:${serialNumber.toUpperCase().replaceAll(/(..)(?=.)/g, '$1:')}`
    const { identity, details } = await scene.admin.service.getIdentity({ serialNumber: pasted }, asOperator())
    expect(identity).toMatchObject({ serialNumber, kind: SvidKind.WORKLOAD, state: SvidState.VALID })
    expect(details).toMatchObject({ podName: 'cart-0', template: '(built-in)', reviewed: true })
  })
})

describe('explain pod', () => {
  const explain = (name: string) => scene.admin.service.explainPod({ namespace: 'shop', name }, asOperator())
  const outcomes = ({ steps }: Awaited<ReturnType<typeof explain>>) =>
    Object.fromEntries(steps.map(({ name, outcome }) => [name, outcome]))

  test('that has its identity, on a node whose agent is away', async () => {
    const explained = await explain('cart-0')
    expect(explained).toMatchObject({
      verdict: Verdict.AT_RISK,
      summary: expect.stringContaining('The agent of the node node-a is not connected'),
      spiffeId: 'spiffe://prod.example/ns/shop/sa/cart',
      pod: { nodeName: 'node-a', serviceAccount: 'cart', phase: 'Running' },
      identities: [{ serialNumber: serialNumber }],
    })
    expect(outcomes(explained)).toMatchObject({ pod: OK, volume: OK, agent: FAILED, issued: OK, renewal: OK })
  })

  test('that was refused', async () => {
    scene.pod('refused')
    await scene.ask('refused', scene.kubernetes.issuer.issuer)
    await expect
      .poll(async () => (await explain('refused')).refusals)
      .toMatchObject([{ code: 'token_audience_wrong', nodeName: 'node-a' }])
    const explained = await explain('refused')
    expect(explained.verdict).toBe(Verdict.NO_IDENTITY)
    const step = explained.steps.find(({ name }) => name === 'refusals')
    expect(step?.remedy).toContain('CSIDriver.spec.tokenRequests')
  })

  test.for<{ name: string; spec: Record<string, unknown>; verdict: Verdict; summary: string }>([
    { name: 'no-volume', spec: { volumes: [] }, verdict: Verdict.NOT_ASKED, summary: 'does not ask' },
    {
      name: 'writable',
      spec: { volumes: [{ name: 'identity', csi: { driver: 'csi.countersign.dev' } }] },
      verdict: Verdict.NO_IDENTITY,
      summary: 'The volume identity is not readOnly',
    },
    {
      name: 'attribute',
      spec: { volumes: [{ name: 'identity', csi: { ...VOLUME.csi, volumeAttributes: { ttl: '1h' } } }] },
      verdict: Verdict.NO_IDENTITY,
      summary: 'the attribute "ttl"',
    },
    { name: 'pending', spec: { nodeName: undefined }, verdict: Verdict.NO_IDENTITY, summary: 'not scheduled' },
  ])('$name', async ({ name, spec, verdict, summary }) => {
    scene.pod(name, spec)
    const explained = await explain(name)
    expect(explained.verdict).toBe(verdict)
    expect(explained.summary).toContain(summary)
    expect(explained.steps).toHaveLength(11)
  })

  test('that does not exist, and one that cannot be looked up', async () => {
    expect((await explain('nobody')).verdict).toBe(Verdict.NO_POD)
    scene.kubernetes.fault = (path) => (path.includes('/pods/') ? 'reset' : undefined)
    const explained = await explain('cart-0')
    scene.kubernetes.fault = undefined
    expect(explained).toMatchObject({
      verdict: Verdict.UNKNOWN,
      steps: [{ code: 'kubernetes_unavailable' }, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}],
    })
  })
})
