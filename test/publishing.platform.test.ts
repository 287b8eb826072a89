import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { createLog } from '../core/runtime/log.ts'
import { systemClock } from '../core/runtime/system-clock.ts'
import { decodeBundleDocument } from '../core/spiffe/bundle-document.ts'
import { bundleFromPem } from '../core/spiffe/bundle.ts'
import { TrustDomain } from '../core/spiffe/trust-domain.ts'
import { type Manifest, renderChart } from './chart/helm.ts'
import { attachCluster } from './cluster/attach.ts'
import type { Cluster } from './cluster/cluster.ts'
import { type BrokerFolder, brokerFolder, runningBroker } from './fakes/running-broker.ts'

/*
 * A broker in this process, with the rights that the chart gives it and no others, keeps its key and its bundle in the
 * real API server; and without each of these rights it says which one is missing.
 */
const SYSTEM = 'publishing-system'
const AGENTS = 'publishing-agent'
const DOMAIN = 'publishing.example'
const RULES = 'publishing-test-broker'
const SECRET = `/api/v1/namespaces/${SYSTEM}/secrets/countersign-wrapping-key`
const CONFIG_MAP = `/api/v1/namespaces/${AGENTS}/configmaps/countersign-trust-bundle`
const TRUST_BUNDLE = `/apis/certificates.k8s.io/v1/clustertrustbundles/countersign.dev:${DOMAIN}:bundle`
const PUBLISHED = [SECRET, CONFIG_MAP, TRUST_BUNDLE]

const OLD_CONFIG_MAP = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'countersign-trust-bundle', namespace: AGENTS },
  data: { 'bundle.json': '{"keys":[]}' },
}

interface Rule {
  readonly resources?: readonly string[]
  readonly verbs: readonly string[]
}
type Role = Manifest & { readonly rules: readonly Rule[] }

const cleanups: (() => unknown)[] = []
let cluster: Cluster
let kubeconfig: string
let roles: readonly Role[]

beforeAll(async () => {
  cluster = await attachCluster()
  await cluster.createNamespace(SYSTEM)
  await cluster.createNamespace(AGENTS)
  const values = { trustDomain: DOMAIN, namespaces: { agent: AGENTS } }
  const rendered = await renderChart({ values, namespace: SYSTEM })
  const ours = rendered.filter(
    ({ kind, metadata }) => metadata.name === 'countersign-broker' && /Role|^ServiceAccount$/.test(kind),
  )
  const renamed = ours.map((object) =>
    // An installation of Countersign that is there has its own.
    object.kind.startsWith('ClusterRole') ? (replaceName(object) as Manifest) : object,
  )
  roles = renamed.filter(({ kind }) => kind === 'Role' || kind === 'ClusterRole') as unknown as Role[]
  await cluster.apply(renamed)
  const folder = brokerFolder()
  cleanUpAtEnd.push(() => rmSync(folder.directory, { recursive: true }))
  kubeconfig = join(folder.directory, 'kubeconfig')
  const token = await cluster.createToken({ namespace: SYSTEM, serviceAccount: 'countersign-broker' })
  writeFileSync(kubeconfig, kubeconfigOf(token), { mode: 0o600 })
})
const cleanUpAtEnd: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup()
  for (const path of PUBLISHED) await cluster.request('DELETE', path)
})
afterAll(async () => {
  for (const cleanup of cleanUpAtEnd) cleanup()
  await cluster.kubectl(['delete', 'clusterrole,clusterrolebinding', RULES, '--ignore-not-found'])
  await cluster.deleteNamespace(SYSTEM)
  await cluster.deleteNamespace(AGENTS)
})

interface Document {
  readonly metadata: { readonly annotations: Record<string, string> }
  readonly immutable?: boolean
  readonly data: Record<string, string>
  readonly spec: { readonly signerName: string; readonly trustBundle: string }
}

async function look(path: string): Promise<Document | undefined> {
  const { status, body } = await cluster.request('GET', path)
  return status === 200 ? (JSON.parse(body) as Document) : undefined
}
const sequenceAt = async (path: string) => (await look(path))?.metadata.annotations['countersign.dev/bundle-sequence']

/** A broker that is starting; what it has logged; and what `/readyz` says. */
function start(folder: BrokerFolder = brokerFolder()) {
  const logged: string[] = []
  let port = 0
  const running = runningBroker({
    folder,
    change: {
      trustDomain: DOMAIN,
      attestation: {},
      kubernetes: { kubeconfig },
      authority: { wrappingKeySecret: `${SYSTEM}/countersign-wrapping-key` },
      bundle: { configMaps: [`${AGENTS}/countersign-trust-bundle`], clusterTrustBundle: true },
    },
    environment: {
      clock: systemClock,
      log: createLog(
        'broker',
        'info',
        new PassThrough().on('data', (line: Buffer) => logged.push(line.toString())),
      ),
      onOperations: (operations) => (port = operations),
    },
  })
  cleanups.push(async () => (await running).stop())
  const readyz = async () => (port === 0 ? '' : (await fetch(`http://127.0.0.1:${port}/readyz`)).text())
  return { running, readyz, logged: () => logged.join('') }
}

test('a broker with the rights of the chart makes its key, and publishes its bundle twice', async () => {
  const folder = brokerFolder()
  const { running } = start(folder)
  await running
  await expect.poll(() => sequenceAt(CONFIG_MAP)).toBeDefined()
  await expect.poll(() => sequenceAt(TRUST_BUNDLE)).toBe(await sequenceAt(CONFIG_MAP))
  const [configMap, trustBundle, secret] = [await look(CONFIG_MAP), await look(TRUST_BUNDLE), await look(SECRET)]
  const domain = TrustDomain.parse(DOMAIN)
  const { authorities } = decodeBundleDocument(domain, configMap?.data['bundle.json'] ?? '').x509
  expect(authorities).toHaveLength(1)
  expect(bundleFromPem(domain, configMap?.data['ca.crt'] ?? '').authorities).toEqual(authorities)
  expect(bundleFromPem(domain, trustBundle?.spec.trustBundle ?? '').authorities).toEqual(authorities)
  expect(trustBundle?.spec.signerName).toBe(`countersign.dev/${DOMAIN}`)
  expect(secret?.immutable).toBe(true)

  await (await running).stop()
  const again = await start(folder).running
  expect(await look(SECRET)).toEqual(secret)
  expect((await look(CONFIG_MAP))?.data).toEqual(configMap?.data)
  await again.stop()
})

describe('without the right to', () => {
  test.for<[what: string, resource: string, verb: string, blocks: boolean, says: string]>([
    ['read the Secret', 'secrets', 'get', true, `get secrets in namespace ${SYSTEM}`],
    ['make the Secret', 'secrets', 'create', true, `create secrets in namespace ${SYSTEM}`],
    ['look at the ConfigMap', 'configmaps', 'get', false, `get configmaps in namespace ${AGENTS}`],
    ['make the ConfigMap', 'configmaps', 'create', false, `create configmaps in namespace ${AGENTS}`],
    ['replace the ConfigMap', 'configmaps', 'update', false, `update configmaps in namespace ${AGENTS}`],
    // To look at a ClusterTrustBundle is every ServiceAccount's right.
    [
      'make the ClusterTrustBundle',
      'clustertrustbundles',
      'create',
      false,
      'create clustertrustbundles (certificates.k8s.io)',
    ],
    ['speak for its signer', 'signers', 'attest', false, `not permitted to attest`],
  ])('%s, the rule is named, and all else works', async ([, resource, verb, blocks, says]) => {
    await cluster.apply(roles.map((role) => without(role, resource, verb)))
    cleanups.push(() => cluster.apply([...roles]))
    if (verb === 'update') await cluster.apply(OLD_CONFIG_MAP)
    const { running, readyz, logged } = start()
    if (blocks) await expect.poll(readyz, { timeout: 20_000 }).toContain(says)
    else {
      await running
      expect(await readyz()).toBe('ok\n')
      await expect.poll(logged, { timeout: 20_000 }).toContain(says)
      const others = resource === 'configmaps' ? TRUST_BUNDLE : CONFIG_MAP
      await expect.poll(() => sequenceAt(others), { timeout: 20_000 }).toBeDefined()
    }
    await cluster.apply([...roles])
    await running
    for (const path of [CONFIG_MAP, TRUST_BUNDLE]) {
      await expect.poll(() => sequenceAt(path), { timeout: 60_000 }).toBeDefined()
    }
  })
})

/** The role without the verb on the resource; a rule that allows nothing any more goes. */
function without(role: Role, resource: string, verb: string): Role {
  const rules = role.rules.map((rule) =>
    rule.resources?.includes(resource) ? { ...rule, verbs: rule.verbs.filter((allowed) => allowed !== verb) } : rule,
  )
  return { ...role, rules: rules.filter(({ verbs }) => verbs.length > 0) }
}

function replaceName(object: Manifest): unknown {
  return JSON.parse(
    JSON.stringify(object)
      .replaceAll('"name":"countersign-broker","labels"', `"name":"${RULES}","labels"`)
      .replaceAll('"kind":"ClusterRole","name":"countersign-broker"', `"kind":"ClusterRole","name":"${RULES}"`),
  )
}

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
