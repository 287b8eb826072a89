import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { timestampFromDate } from '@bufbuild/protobuf/wkt'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { pemEncode } from '../core/pki/pem.ts'
import { ERROR_CODES } from '../core/runtime/error-codes.ts'
import { IdentityError } from '../core/runtime/errors.ts'
import { systemClock } from '../core/runtime/system-clock.ts'
import { encodeBundleDocument } from '../core/spiffe/bundle-document.ts'
import { bundleToPem } from '../core/spiffe/bundle.ts'
import { TrustDomain } from '../core/spiffe/trust-domain.ts'
import { SvidKind, SvidState, StepOutcome, Verdict } from '../proto/gen/countersign/admin/v1/admin_pb.ts'
import { agent, at, status, template } from '../test/fakes/check-facts.ts'
import { FakeAdmin, type FakeAdminOptions } from '../test/fakes/fake-admin.ts'
import { FakeBrokerAuthorities } from '../test/fakes/fake-broker-authorities.ts'
import { FakeKubernetes } from '../test/fakes/fake-kubernetes.ts'
import { runCli } from '../test/fakes/run-cli.ts'
import { svidFor } from '../test/fakes/workload-identities.ts'
import { CRDS } from './installation/crds.ts'

const trustDomain = TrustDomain.parse('prod.example')
const authorities = await FakeBrokerAuthorities.create(trustDomain, systemClock)
const identity = {
  serialNumber: '0a1b2c',
  kind: SvidKind.WORKLOAD,
  state: SvidState.VALID,
  spiffeId: 'spiffe://prod.example/ns/shop/sa/cart',
  nodeName: 'node-a',
  namespace: 'shop',
  serviceAccount: 'cart',
  podUid: 'uid-1',
  issuedAt: at(0),
  notAfter: at(3_600_000),
}

const asked: Record<string, unknown>[] = []
const answers: FakeAdminOptions['answers'] = {
  getStatus: async () => status({ serverTime: timestampFromDate(new Date()) }).value,
  listAuthorities: async () => ({ bundleSequence: 7n, authorities: [] }),
  listAgents: async ({ pageToken }) =>
    pageToken === '' ? { agents: [agent('node-a')], nextPageToken: 'next' } : { agents: [agent('node-b')] },
  listTemplates: async () => ({ templates: [template('web')] }),
  listIdentities: async (request) => {
    asked.push({ ...request })
    return { identities: request.namespace === 'empty' ? [] : [identity] }
  },
  getIdentity: async ({ serialNumber }) => {
    if (serialNumber !== '0a1b2c') throw new IdentityError('identity_not_found', 'the ledger holds no such SVID')
    return { identity, details: { podName: 'cart-1', template: 'web', reviewed: true, auditSequence: 42n } }
  },
  getBundle: async () => ({
    trustDomain: 'prod.example',
    x509Authorities: authorities.bundle.authorities.map(({ der }) => der),
    sequence: 7n,
  }),
  explainPod: async ({ name }) => ({
    verdict: name === 'cart-1' ? Verdict.HAS_IDENTITY : Verdict.NO_IDENTITY,
    summary: name === 'cart-1' ? 'It has one.' : 'No template selects it.',
    steps: [
      { name: 'pod', outcome: StepOutcome.OK, found: 'It is there.' },
      name === 'cart-1'
        ? { name: 'template', outcome: StepOutcome.OK, found: 'Template web selects it.' }
        : {
            name: 'template',
            outcome: StepOutcome.FAILED,
            found: 'None selects it.',
            code: 'template_not_matched',
            remedy: 'Write one.',
          },
    ],
    identities: name === 'cart-1' ? [identity] : [],
    refusals:
      name === 'cart-1'
        ? []
        : [
            { at: at(-5_000), code: 'template_not_matched', reason: 'none selects it' },
            { at: at(-7_000), code: 'node_mismatch', reason: 'another node' },
            { at: at(-9_000), code: 'template_not_matched', reason: 'none selects it' },
          ],
  }),
}

const labels = { 'app.kubernetes.io/name': 'countersign' }
const document = encodeBundleDocument({ x509: { ...authorities.bundle, sequence: 7n }, jwtAuthorities: [] })
const pods = ['cart-1', 'sad-1'].map((name) => ({
  metadata: { name, namespace: 'shop', uid: name, creationTimestamp: '2026-01-01T00:00:00Z' },
  spec: { nodeName: 'node-a', volumes: [{ name: 'identity', csi: { driver: 'csi.countersign.dev', readOnly: true } }] },
  status:
    name === 'cart-1'
      ? { phase: 'Running', containerStatuses: [{ name: 'main', containerID: 'x' }] }
      : { phase: 'Pending' },
}))
const running = (name: string, node: string) => ({
  metadata: { name, namespace: 'n' },
  spec: { nodeName: node },
  status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
})

/** What the API server has: by path, without the query. */
const objects: Record<string, object> = {
  '/version': { gitVersion: 'v1.37.1', major: '1', minor: '37' },
  '/api/v1/nodes': {
    items: ['node-a', 'node-b'].map((name) => ({
      metadata: { name },
      status: { nodeInfo: { kubeletVersion: 'v1.37.1', operatingSystem: 'linux' } },
    })),
  },
  '/apis/storage.k8s.io/v1/csidrivers/csi.countersign.dev': {
    metadata: { name: 'csi.countersign.dev', labels },
    spec: {
      attachRequired: false,
      podInfoOnMount: true,
      requiresRepublish: true,
      volumeLifecycleModes: ['Ephemeral'],
      serviceAccountTokenInSecrets: true,
      tokenRequests: [{ audience: 'countersign.dev/prod.example' }],
    },
  },
  '/apis/apiextensions.k8s.io/v1/customresourcedefinitions': {
    items: [
      {
        metadata: {
          name: 'identitytemplates.countersign.dev',
          labels,
          annotations: { 'countersign.dev/definition': CRDS[0].digest },
        },
        spec: { group: 'countersign.dev', versions: [{ name: 'v1alpha1', served: true }] },
        status: { conditions: [{ type: 'Established', status: 'True' }] },
      },
    ],
  },
  '/apis/storage.k8s.io/v1/csinodes': {
    items: ['node-a', 'node-b'].map((name) => ({
      metadata: { name },
      spec: { drivers: [{ name: 'csi.countersign.dev' }] },
    })),
  },
  '/apis/apps/v1/namespaces/countersign-system/deployments': {
    items: [{ metadata: { name: 'countersign-broker' }, spec: { replicas: 1 }, status: { readyReplicas: 1 } }],
  },
  '/apis/apps/v1/namespaces/countersign-agent/daemonsets': {
    items: [{ metadata: { name: 'countersign-agent' }, status: { desiredNumberScheduled: 2, numberReady: 2 } }],
  },
  '/api/v1/namespaces/countersign-system/pods': { items: [running('countersign-broker-0', 'node-a')] },
  '/api/v1/namespaces/countersign-agent/pods': { items: [running('a', 'node-a'), running('b', 'node-b')] },
  '/api/v1/namespaces/countersign-agent/configmaps/countersign-trust-bundle': {
    metadata: { name: 'countersign-trust-bundle' },
    data: { 'bundle.json': document },
  },
  '/api/v1/namespaces/countersign-system/serviceaccounts/countersign-cli/token': { status: { token: 'good' } },
  '/api/v1/pods': { items: [] },
  '/api/v1/namespaces/shop/pods/cart-1': pods[0] as object,
  '/api/v1/namespaces/shop/pods/sad-1': pods[1] as object,
  '/api/v1/namespaces/shop/events': { items: [] },
}

let kubernetes: FakeKubernetes
let admin: FakeAdmin
let directory: string
/** What is answered instead. */
let instead: Record<string, { status: number; body: string } | 'hang' | 'reset'>

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'cli-'))
  writeFileSync(join(directory, 'bundle.pem'), bundleToPem(authorities.bundle))
  writeFileSync(join(directory, 'token'), 'good\n')
  kubernetes = await FakeKubernetes.start()
  kubernetes.fault = (pathAndQuery) => {
    const [path = ''] = pathAndQuery.split('?')
    if (instead[path]) return instead[path]
    const found = objects[path]
    return found
      ? { status: 200, body: JSON.stringify(found) }
      : { status: 404, body: JSON.stringify({ kind: 'Status', message: `${path} not found`, code: 404 }) }
  }
  admin = await FakeAdmin.start({ authorities, answers })
})
beforeEach(() => {
  instead = {}
  asked.length = 0
})
afterEach(() => {
  admin.authorizations.length = 0
})
afterAll(async () => {
  admin.stop()
  await kubernetes.stop()
  rmSync(directory, { recursive: true, force: true })
})

const cli = (...args: string[]) =>
  runCli(['--kubeconfig', kubernetes.adminKubeconfig, '--broker', admin.address, ...args])
const forbidden = (message: string) => ({ status: 403, body: JSON.stringify({ kind: 'Status', message, code: 403 }) })

describe('check', () => {
  test('an installation that is well, but for its authorities', async () => {
    const { code, out } = await cli('check')
    expect(out).toContain('✔ every kubelet knows the driver (2 nodes)')
    expect(out).toContain('✔ every agent is connected to the broker (2 agents)')
    expect(out).toContain('✔ the broker answers, and proves to be the broker (spiffe://prod.example/countersign/broker')
    expect(out).toContain('no authority signs')
    expect(out).toMatch(/✖ \d+ of \d+ checks passed, 1 failed\n$/)
    expect(code).toBe(1)
  })

  test('for programs', async () => {
    const { out } = await cli('--json', 'check')
    const { outcome, checks } = JSON.parse(out) as { outcome: string; checks: { id: string; outcome: string }[] }
    expect(outcome).toBe('fail')
    expect(checks.filter((check) => check.outcome === 'fail').map(({ id }) => id)).toEqual(['authorities'])
  })

  test('an API server that hangs has the time of a request, and ends the program with 3', async () => {
    instead['/version'] = 'hang'
    const { code, out } = await cli('--request-timeout', '500ms', 'check')
    expect(out).toMatch(/✖ the API server answers\n.*cannot be reached: no answer in time/)
    expect(code).toBe(3)
  })

  test('what one may not see is a warning that names the rule', async () => {
    instead['/api/v1/nodes'] = forbidden('nodes is forbidden: User "eve" cannot list resource "nodes"')
    const { out } = await cli('check')
    expect(out).toMatch(/‼ the kubelets are new enough\n.*User "eve" cannot list resource "nodes"/)
  })

  const pending = (name: string, change: { created?: string; status?: object; csi?: object } = {}) => ({
    metadata: { name, namespace: 'shop', uid: name, creationTimestamp: change.created ?? '2026-01-01T00:00:00Z' },
    spec: {
      nodeName: 'node-a',
      volumes: [{ name: 'identity', csi: { driver: 'csi.countersign.dev', readOnly: true, ...change.csi } }],
    },
    status: { phase: 'Pending', ...change.status },
  })

  test('of pods that wait, those for an identity, with what kubelet says last', async () => {
    const young = new Date().toISOString()
    const image = { containerStatuses: [{ name: 'main', state: { waiting: { reason: 'ImagePullBackOff' } } }] }
    const items = [
      pending('refused'),
      pending('young', { created: young }),
      pending('writable', { created: young, csi: { readOnly: false } }),
      pending('waits-for-image', { status: image }),
      pending('of-others', { csi: { driver: 'other.example' } }),
    ]
    const event = (message: string, lastTimestamp: string) => ({
      message,
      lastTimestamp,
      metadata: {},
      involvedObject: {},
    })
    const events = [
      event('MountVolume.SetUp failed for volume "identity" : desc = broker_unavailable: gone', '2026-01-01T00:00:00Z'),
      event(
        'MountVolume.SetUp failed for volume "identity" : desc = template_not_matched: none',
        '2026-01-01T00:01:00Z',
      ),
      event('MountVolume.SetUp failed for volume "data" : desc = node_mismatch: other', '2026-01-01T00:02:00Z'),
    ]
    instead['/api/v1/pods'] = { status: 200, body: JSON.stringify({ items }) }
    instead['/api/v1/namespaces/shop/events'] = { status: 200, body: JSON.stringify({ items: events }) }
    const { out } = await cli('check')
    expect(out).toMatch(
      /shop\/refused: template_not_matched: none \(kubelet said so \S+ ago, and tries again\)\n +→ Write a template/,
    )
    expect(out).toContain('shop/writable: volume_not_read_only')
    expect(out).not.toMatch(/waits-for-image|of-others|node_mismatch|gone/)
  })

  test('--wait looks again until nothing fails', async () => {
    instead['/apis/storage.k8s.io/v1/csinodes'] = { status: 200, body: JSON.stringify({ items: [] }) }
    const started = Date.now()
    const { out } = await cli('check', '--wait', '2500ms')
    expect(Date.now() - started).toBeGreaterThan(2_000)
    expect(out).toContain('2 kubelets of 2 do not know')
  })
})

describe('commands', () => {
  test('status', async () => {
    const { code, out } = await cli('status')
    expect(code).toBe(0)
    expect(out).toMatch(/Trust domain: +prod\.example/)
    expect(out).toMatch(/node-b +\S+/)
    expect(out).toMatch(/Lifetimes: +1d unless a template says otherwise, 5m to 1d/)
  })

  test('identity list: of the namespace that was asked for', async () => {
    const { code, out } = await cli('-n', 'shop', 'identity', 'list', '--prefix', 'spiffe://prod.example/ns/shop')
    expect(code).toBe(0)
    expect(out).toMatch(/^SPIFFE ID .*\nspiffe:\/\/prod\.example\/ns\/shop\/sa\/cart +node-a +valid/)
    expect(asked).toMatchObject([
      { namespace: 'shop', spiffeIdPrefix: 'spiffe://prod.example/ns/shop', state: SvidState.VALID },
    ])
  })

  test('identity list: of a namespace without any', async () => {
    const { code, out } = await cli('-n', 'empty', 'identity', 'list')
    expect({ code, out }).toEqual({ code: 0, out: 'No identities found in namespace empty; -A looks into all.\n' })
  })

  test('identity list: of all namespaces, and whatever else', async () => {
    const { out } = await cli('identity', 'list', '-A', '--limit', '1')
    expect(out).toMatch(/These are the newest 1; --limit shows more\.\n$/)
    asked.length = 0
    await cli('identity', 'list', '-A', '--state', 'any', '--kind', 'any', '--node', 'node-a', '--limit', '7')
    expect(asked).toMatchObject([{ namespace: '', state: 0, kind: 0, nodeName: 'node-a', pageSize: 7 }])
  })

  test('identity show', async () => {
    const { code, out } = await cli('identity', 'show', '0a1b2c')
    expect(code).toBe(0)
    expect(out).toMatch(/Pod: +shop\/cart-1/)
    expect(out).toMatch(/Audit record: +42/)
    expect((await cli('identity', 'show', '0A:1B:2C')).err).not.toContain('is invalid')
    expect(await cli('identity', 'show', 'ff')).toMatchObject({
      code: 1,
      err: expect.stringContaining('identity_not_found') as string,
    })
  })

  test('bundle show: broker, ConfigMap and file say the same', async () => {
    const [fromBroker, fromConfigMap, fromFile] = await Promise.all([
      cli('bundle', 'show', '--pem'),
      cli('bundle', 'show', '--pem', '--config-map'),
      runCli(['bundle', 'show', '--pem', join(directory, 'bundle.pem')]),
    ])
    expect(fromBroker.out).toBe(bundleToPem(authorities.bundle))
    expect(fromConfigMap.out).toBe(fromBroker.out)
    expect(fromFile.out).toBe(fromBroker.out)
    expect((await cli('bundle', 'show', '--document')).out).toContain('"spiffe_sequence":7')
    expect((await cli('bundle', 'show')).out).toMatch(/Trust domain: +prod\.example/)
  })

  test('bundle show: a ConfigMap that is not there', async () => {
    instead['/api/v1/namespaces/countersign-agent/configmaps/countersign-trust-bundle'] = { status: 404, body: '{}' }
    const { code, err } = await cli('bundle', 'show', '--config-map')
    expect(code).toBe(1)
    expect(err).toMatch(
      /^identity_not_found: there is no ConfigMap .*countersign check[^]*\n→ Check the number or name,/,
    )
    expect(ERROR_CODES.identity_not_found.meaning).toContain('no such pod, volume or ConfigMap')
  })

  test('bundle show: what is no bundle is named', async () => {
    const leaf = join(directory, 'leaf.pem')
    const { chain } = await svidFor(authorities, 'cart')
    writeFileSync(leaf, chain.map((der) => pemEncode('CERTIFICATE', der)).join(''))
    expect(await runCli(['bundle', 'show', leaf])).toMatchObject({
      code: 2,
      err: expect.stringContaining(`${leaf} is no trust bundle`) as string,
    })
    expect((await runCli(['bundle', 'show', directory])).err).toContain('it is a folder')
    writeFileSync(leaf, 'nonsense')
    expect((await runCli(['bundle', 'show', leaf])).err).toContain(`pem_invalid: ${leaf}: `)
  })

  test('explain pod: every step, and 1 if there is no identity', async () => {
    const good = await cli('-n', 'shop', 'explain', 'pod', 'cart-1')
    expect(good.code).toBe(0)
    expect(good.out).toMatch(/^✔ shop\/cart-1: It has one\.\n/)
    expect(good.out).toMatch(/✔ mount +kubelet has mounted the volume/)
    expect(good.out).toContain('spiffe://prod.example/ns/shop/sa/cart, serial number 0a1b2c')
    expect((await cli('explain', 'pod', 'shop/cart-1')).out).toBe(good.out)
    expect(await cli('explain', 'pod', 'a/b/c')).toMatchObject({
      code: 2,
      err: expect.stringContaining('<name> a/b/c: write the name of a pod, or namespace/name') as string,
    })
    const sad = await cli('-n', 'shop', 'explain', 'pod', 'sad-1')
    expect(sad.code).toBe(1)
    expect(sad.out).toMatch(
      /\n {2}2 times, last \S+ \S+: template_not_matched: none selects it\n {2}\S+ \S+: node_mismatch: /,
    )
    expect(sad.out).toMatch(/✖ template +None selects it\. \(template_not_matched\)\n +→ Write one\./)
  })

  test('explain pod: without the broker it ends as what keeps it from being asked', async () => {
    instead['/api/v1/namespaces/countersign-agent/configmaps/countersign-trust-bundle'] = { status: 404, body: '{}' }
    const unknown = await cli('-n', 'shop', 'explain', 'pod', 'cart-1')
    expect(unknown.code).toBe(3)
    expect(unknown.out).toMatch(/^‼ shop\/cart-1: Whether it has an identity is not known/)
    expect(unknown.out).toMatch(/nothing that the chart installs is found here.*\n +→ See countersign check\./)
    instead['/api/v1/namespaces/countersign-agent/configmaps/countersign-trust-bundle'] = forbidden('you may not')
    expect(await cli('-n', 'shop', 'explain', 'pod', 'cart-1')).toMatchObject({ code: 4 })
    // What is certain without the broker stays a finding.
    expect(await cli('-n', 'shop', 'explain', 'pod', 'nobody')).toMatchObject({ code: 1 })
  })

  test('version', async () => {
    expect(await cli('version')).toMatchObject({ code: 0, out: 'client 0.1.0\nbroker 0.1.0\n' })
    expect(await runCli(['version', '--client'])).toMatchObject({ code: 0, out: 'client 0.1.0\n' })
  })

  test('version: that of the client needs nobody', async () => {
    const nowhere = ['--kubeconfig', '/nonexistent', 'version']
    expect(await runCli(nowhere)).toMatchObject({
      code: 2,
      out: 'client 0.1.0\n',
      err: expect.stringContaining('/nonexistent cannot be read') as string,
    })
    const { code, out, err } = await runCli(['--json', ...nowhere])
    expect({ code, out: JSON.parse(out) as unknown }).toEqual({ code: 2, out: { client: '0.1.0' } })
    expect(JSON.parse(err)).toMatchObject({ error: { code: 'config_invalid' } })
  })
})

describe('the token', () => {
  test('is made for the admin audience, and nothing else of the caller goes to the broker', async () => {
    await cli('version')
    expect(admin.authorizations).toEqual(['Bearer good'])
  })

  test('can come from a file, and the bundle as well: then no cluster is needed', async () => {
    const args = [
      '--broker',
      admin.address,
      '--bundle-file',
      join(directory, 'bundle.pem'),
      '--token-file',
      join(directory, 'token'),
    ]
    const without = [...args, '--kubeconfig', '/nonexistent']
    expect(await runCli([...without, 'version'])).toMatchObject({ code: 0 })
    expect(await runCli([...without, 'identity', 'list', '-A'])).toMatchObject({ code: 0 })
    expect(await runCli([...without, '-n', 'shop', 'identity', 'list'])).toMatchObject({ code: 0 })
    expect(await runCli([...without, 'identity', 'list'])).toMatchObject({
      code: 2,
      err: expect.stringContaining('which namespace?') as string,
    })
    // Which pod it is, and what kubelet says of it, only a cluster knows.
    expect(await runCli([...without, 'explain', 'pod', 'cart-1'])).toMatchObject({
      code: 2,
      err: expect.stringContaining('/nonexistent cannot be read') as string,
    })
  })

  test.for([
    { name: 'two lines', text: 'eyJ.SECRET.part\nSECRET' },
    { name: 'no token', text: 'SECRET "quoted"' },
    { name: 'nothing', text: '\n' },
    { name: 'more than a token', text: 'SECRET'.repeat(5_000) },
  ])('invariant 6: a file with $name is refused, and not repeated', async ({ text }) => {
    const file = join(directory, 'not-a-token')
    writeFileSync(file, text)
    const { code, out, err } = await runCli([
      '--broker',
      admin.address,
      '--bundle-file',
      join(directory, 'bundle.pem'),
      '--token-file',
      file,
      'status',
    ])
    expect(code).toBe(2)
    expect(err).toContain('not-a-token holds no token')
    expect(out + err).not.toContain('SECRET')
  })

  test('cannot be made where the ServiceAccount is missing', async () => {
    instead['/api/v1/namespaces/countersign-system/serviceaccounts/countersign-cli/token'] = { status: 404, body: '{}' }
    const { code, err } = await cli('status')
    expect(code).toBe(3)
    expect(err).toMatch(/no ServiceAccount countersign-system\/countersign-cli/)
  })
})

describe('exit codes', () => {
  test.for([
    ['no command', [], 2, ''],
    ['help', ['--help'], 0, ''],
    ['help as a command', ['help', 'check'], 0, ''],
    ['an unknown command', ['frobnicate'], 2, 'unknown command'],
    ['an unknown flag', ['check', '--frobnicate'], 2, 'unknown option'],
    ['a wrong duration', ['check', '--wait', '30'], 2, '--wait'],
    ['a wrong address', ['--broker', 'nowhere', 'status'], 2, 'host:port'],
    ['a wrong trust domain', ['--trust-domain', 'Prod', 'status'], 2, '--trust-domain'],
    ['a wrong choice', ['identity', 'list', '--state', 'odd'], 2, 'Allowed choices'],
    [
      'a wrong SPIFFE ID',
      ['identity', 'list', '--spiffe-id', 'shop'],
      2,
      "'--spiffe-id <id>' argument 'shop' is invalid",
    ],
    ['a wrong prefix', ['identity', 'list', '--prefix', 'spiffe://Prod/'], 2, "'--prefix <id>' argument"],
    ['a wrong name', ['identity', 'list', '--node', ''], 2, "'--node <name>' argument"],
    [
      'a wrong serial number',
      ['identity', 'show', 'cart'],
      2,
      "for argument 'serial-number'. Write it as identity list",
    ],
    ['a wrong number', ['identity', 'list', '--limit', '0'], 2, 'number from 1'],
    ['no kubeconfig', ['--kubeconfig', '/nonexistent', 'check'], 2, 'ENOENT'],
  ] as const)('%s', async ([, args, code, says]) => {
    const ended = await runCli([...args])
    expect(ended.code).toBe(code)
    expect(ended.err).toContain(says)
  })

  test('the help of a command has the flags of every command', async () => {
    const { out } = await runCli(['identity', 'list', '--help'])
    expect(out).toMatch(/^Usage: countersign identity list \[options\]\n/)
    expect(out).toMatch(/\nGlobal Options:\n[^]* --trust-domain <name> /)
  })

  test('no kubeconfig anywhere', async () => {
    vi.stubEnv('KUBECONFIG', '')
    vi.stubEnv('HOME', directory)
    const ended = await runCli(['status'])
    vi.unstubAllEnvs()
    expect(ended).toMatchObject({ code: 2, err: expect.stringContaining('there is no kubeconfig') as string })
  })

  test('a kubeconfig or a bundle that cannot be read is named', async () => {
    vi.stubEnv('KUBECONFIG', '/nope')
    const missing = await runCli(['status'])
    vi.stubEnv('KUBECONFIG', 'README.md')
    const wrong = await runCli(['status'])
    vi.unstubAllEnvs()
    expect(missing).toMatchObject({ code: 2, err: expect.stringContaining('/nope cannot be read: ENOENT') as string })
    expect(wrong).toMatchObject({ code: 2, err: expect.stringContaining('README.md cannot be read') as string })
    expect(await cli('--bundle-file', 'README.md', 'status')).toMatchObject({
      code: 2,
      err: expect.stringContaining('pem_invalid: README.md: ') as string,
    })
  })

  test('an unknown context', async () => {
    expect(await cli('--context', 'other', 'check')).toMatchObject({
      code: 2,
      err: expect.stringContaining("no context 'other'") as string,
    })
  })

  test('nobody at the broker’s address', async () => {
    const gone = await FakeAdmin.start({ authorities })
    const { address } = gone
    gone.stop()
    expect(await runCli(['--kubeconfig', kubernetes.adminKubeconfig, '--broker', address, 'status'])).toMatchObject({
      code: 3,
    })
  })

  test('somebody who is not the broker', async () => {
    const impostor = await FakeAdmin.start({ authorities, ownPath: ['ns', 'shop', 'sa', 'cart'] })
    const { code, err } = await runCli([
      '--kubeconfig',
      kubernetes.adminKubeconfig,
      '--broker',
      impostor.address,
      'status',
    ])
    impostor.stop()
    expect(code).toBe(3)
    expect(err).toMatch(/not the broker/)
    expect(impostor.authorizations).toEqual([])
  })

  test('a broker of another trust domain than --trust-domain says', async () => {
    const { code, err } = await cli('--trust-domain', 'other.example', 'status')
    expect(code).toBe(3)
    expect(err).toContain('of the trust domain prod.example, and not of other.example (--trust-domain)')
  })

  test('the words of the API server, or of a webhook of it, make no line of their own', async () => {
    instead['/api/v1/namespaces/countersign-system/serviceaccounts/countersign-cli/token'] = forbidden(
      'denied\nidentity_not_found: forged',
    )
    expect((await cli('status')).err).toMatch(/^kubernetes_forbidden: denied identity_not_found: forged\n→ [^\n]+\n$/)
  })

  test('whoever lacks the roles is told which', async () => {
    instead['/api/v1/namespaces/countersign-agent/configmaps/countersign-trust-bundle'] = forbidden(
      'configmaps "countersign-trust-bundle" is forbidden: User "eve" cannot get resource "configmaps"',
    )
    const { code, err } = await cli('status')
    expect(code).toBe(4)
    expect(err).toMatch(/cannot get resource "configmaps"\n→ Have somebody bind .*countersign-cli-user/)
  })

  test('the API server refuses', async () => {
    instead['/api/v1/namespaces/countersign-system/serviceaccounts/countersign-cli/token'] = forbidden(
      'serviceaccounts "countersign-cli" is forbidden',
    )
    expect(await cli('status')).toMatchObject({
      code: 4,
      err: expect.stringContaining('kubernetes_forbidden') as string,
    })
  })
})

describe('the program itself, as a process', () => {
  const start = (...args: string[]) =>
    promisify(execFile)(process.execPath, ['cli/main.ts', ...args]).then(
      ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
      (error: { code: number; stdout: string; stderr: string }) => error,
    )

  test('prints and ends', async () => {
    expect(await start('version', '--client')).toMatchObject({ code: 0, stdout: 'client 0.1.0\n' })
    expect(await start('nonsense')).toMatchObject({ code: 2, stdout: '' })
  })

  test('as a plugin of kubectl it says how kubectl calls it', async () => {
    const script = join(directory, 'kubectl-countersign')
    symlinkSync(resolve('cli/main.ts'), script)
    const titled = await promisify(execFile)(process.execPath, ['--title=kubectl-countersign', 'cli/main.ts', '--help'])
    const named = await promisify(execFile)(process.execPath, [script, 'identity', 'list', '--help'])
    expect(titled.stdout).toMatch(/^Usage: kubectl countersign \[options\] \[command\]\n/)
    expect(named.stdout).toMatch(/^Usage: kubectl countersign identity list \[options\]\n/)
  })

  test('is not held up by a way to the broker that never comes about', async () => {
    instead['/api/v1/namespaces/countersign-system/pods/countersign-broker-0/portforward'] = 'hang'
    const started = Date.now()
    const ended = await start('--kubeconfig', kubernetes.adminKubeconfig, '--request-timeout', '1s', 'status')
    expect(ended).toMatchObject({ code: 3, stdout: '' })
    expect(Date.now() - started).toBeLessThan(10_000)
  })

  test('ends without a word when nobody reads any more', async () => {
    const { stderr } = await promisify(execFile)('sh', ['-c', `${process.execPath} cli/main.ts --help | head -1`])
    expect(stderr).toBe('')
  })
})

describe('completion', () => {
  const complete = async (line: string) => {
    const { out } = await runCli(['completion', 'bash'])
    const words = line.split(' ')
    const script = `${out}\nCOMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}; _countersign; printf '%s\\n' "\${COMPREPLY[@]}"`
    const { stdout } = await promisify(execFile)('bash', ['-c', script])
    return stdout.trim().split('\n')
  }

  test.for([
    ['countersign ch', ['check']],
    ['countersign identity ', ['list', 'show']],
    ['countersign identity list --sp', ['--spiffe-id']],
    ['countersign -n check identity l', ['list']],
    ['countersign completion f', ['fish']],
    ['countersign explain ', ['pod']],
    ['countersign check --p', ['--pre']],
    ['countersign identity list --js', ['--json']],
  ] as const)('bash: %s', async ([line, words]) => {
    const found = await complete(line)
    for (const word of words) expect(found).toContain(word)
    if (!line.endsWith(' ')) expect(found).toEqual(words)
  })

  test('zsh takes those of bash; fish has its own', async () => {
    expect((await runCli(['completion', 'zsh'])).out).toMatch(
      /^#compdef countersign\n[^]*bashcompinit[^]*complete -o default -F _countersign countersign/,
    )
    const { out } = await runCli(['completion', 'fish'])
    expect(out).toContain(
      "complete -c countersign -n '__fish_seen_subcommand_from identity' -a list -d 'SVIDs, newest first'",
    )
    expect(await runCli(['completion', 'tcsh'])).toMatchObject({ code: 2 })
  })
})
