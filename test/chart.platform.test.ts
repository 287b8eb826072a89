import { readFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { agentConfigSchema } from '../agent/config.ts'
import { audienceOf, brokerConfigSchema } from '../broker/config.ts'
import { parseConfig } from '../core/runtime/config.ts'
import { type Manifest, manifestsIn, renderChart, renderChartText, tryRenderChart } from './chart/helm.ts'
import { ignoredChecks, kubeScore } from './chart/kube-score.ts'
import { manifestFiles } from './chart/manifests.ts'
import { prometheusDefinitions } from './chart/prometheus-operator.ts'
import { REFUSALS, VARIANTS } from './chart/variants.ts'
import { attachCluster } from './cluster/attach.ts'
import type { Cluster } from './cluster/cluster.ts'

/** Beside an installation of Countersign that may be there. */
const NAMESPACES = { system: 'chart-system', agent: 'chart-agent' }
/** What kube-score rightly finds where somebody chose so. */
const CHOSEN: Readonly<Record<string, RegExp>> = {
  'all that can be switched off': /^pod-networkpolicy of /,
  'identifiers that OpenShift chooses': /^container-security-context-user-group-id of /,
}
const variants = Object.entries(VARIANTS)
let cluster: Cluster

beforeAll(async () => {
  cluster = await attachCluster()
  await cluster.createNamespace(NAMESPACES.system, {
    'pod-security.kubernetes.io/enforce': 'restricted',
    'pod-security.kubernetes.io/warn': 'restricted',
  })
  await cluster.createNamespace(NAMESPACES.agent, { 'pod-security.kubernetes.io/enforce': 'privileged' })
})
afterAll(async () => {
  await cluster.deleteNamespace(NAMESPACES.system)
  await cluster.deleteNamespace(NAMESPACES.agent)
})

const namespaced = (values: object) => ({
  namespace: NAMESPACES.system,
  values: { ...values, namespaces: { ...(values as { namespaces?: object }).namespaces, agent: NAMESPACES.agent } },
})

/** Shows objects to the API server, which must know every field and have nothing to say. */
async function dryRun(text: string): Promise<string> {
  const flags = [
    '--server-side',
    '--force-conflicts',
    '--dry-run=server',
    '--validate=strict',
    '--field-manager=chart-test',
  ]
  const { code, stderr } = await cluster.tryKubectl(['apply', ...flags, '-f', '-'], text)
  return code === 0 ? stderr : `exited ${code}: ${stderr}`
}

describe('the API server takes every object, strictly and without a warning', () => {
  test.for(variants)('%s', async ([, values]) => {
    expect(await dryRun(await renderChartText(namespaced(values)))).toBe('')
  })
})

test('and the objects of the Prometheus operator, whose definitions are there', async () => {
  const definitions = await prometheusDefinitions()
  await cluster.apply(definitions)
  try {
    await cluster.kubectl(['wait', '--for=condition=Established', '--timeout=30s', '-f', '-'], definitions)
    const values = {
      monitoring: {
        serviceMonitor: { enabled: true, interval: '1m', labels: { release: 'prometheus' } },
        prometheusRule: { enabled: true, labels: { release: 'prometheus' } },
      },
      networkPolicy: { metricsFrom: [{ namespaceSelector: { matchLabels: { name: 'monitoring' } } }] },
    }
    const text = await renderChartText(namespaced(values))
    expect(manifestsIn(text).filter(({ apiVersion }) => apiVersion.startsWith('monitoring.'))).toHaveLength(3)
    expect(await dryRun(text)).toBe('')
  } finally {
    await cluster.kubectl(['delete', '--ignore-not-found', '-f', '-'], definitions)
  }
})

describe('programs take the configuration that is made for them', () => {
  test.for(variants)('%s', async ([, values]) => {
    const objects = await renderChart(namespaced(values))
    const broker = parseConfig(fileOf(objects, 'countersign-broker', 'broker.yaml'), brokerConfigSchema, 'broker.yaml')
    const document = `nodeName: node-a\n${fileOf(objects, 'countersign-agent', 'agent.yaml')}`
    const agent = parseConfig(document, agentConfigSchema, 'agent.yaml')
    expect(agent.trustDomain.toString()).toBe(broker.trustDomain.toString())
    expect(audiencesIn(objects)).toEqual(Array(2).fill(audienceOf(broker)))
  })
})

test('an API server before 1.35 is not told what it does not know', async () => {
  const driver = async (kubeVersion: string) =>
    (await renderChart({ kubeVersion })).find(({ kind }) => kind === 'CSIDriver')?.['spec'] as object
  expect(await driver('1.34.2')).not.toHaveProperty('serviceAccountTokenInSecrets')
  expect(await driver('v1.35.0-gke.100')).toHaveProperty('serviceAccountTokenInSecrets', true)
  expect((await tryRenderChart({ kubeVersion: '1.33.0' })).stderr).toContain('incompatible with Kubernetes v1.33.0')
})

describe('values that cannot be are refused', () => {
  test.for(REFUSALS)('%s', async ([, values, says]) => {
    const { code, stderr } = await tryRenderChart({ values })
    expect(code).toBe(1)
    expect(stderr).toMatch(says)
  })
})

test('an upgrade does not change the trust domain', async () => {
  const upgrade = (trustDomain: string) =>
    tryRenderChart({ ...namespaced({ trustDomain }), upgradeIn: cluster.adminKubeconfig })
  const text = await renderChartText(namespaced({ trustDomain: 'one.example' }))
  const before = manifestsIn(text).find(
    ({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === 'countersign-broker',
  )
  await cluster.apply(before ?? {})
  expect((await upgrade('other.example')).stderr).toContain(
    'trustDomain: is one.example, and cannot become other.example',
  )
  expect(await upgrade('one.example')).toMatchObject({ code: 0 })
})

describe('kube-score has nothing to say but what is written down', () => {
  const documented = Array.from(
    readFileSync('docs/kube-score-exceptions.md', 'utf8').matchAll(/^\| `([a-z-]+)` +\| `([A-Za-z]+ [a-z-]+)` /gm),
    ([, check, object]) => `${check} of ${object}`,
  ).sort()

  test.for(variants)('%s', async ([name, values]) => {
    const text = await renderChartText({ values })
    const found = await kubeScore(text)
    expect(found.filter((finding) => !CHOSEN[name]?.test(finding))).toEqual([])
    for (const ignored of ignoredChecks(manifestsIn(text))) expect(documented).toContain(ignored)
  })

  test('and nothing is written down without need', async () => {
    const text = await renderChartText()
    expect(ignoredChecks(manifestsIn(text))).toEqual(documented)
    const found = await kubeScore(text, ['--disable-ignore-checks-annotations'])
    for (const exception of documented) expect(found.join('\n')).toContain(exception)
  })
})

describe('deploy/manifests is what the chart renders (npm run manifests)', () => {
  test('file by file', async () => {
    const files = await manifestFiles()
    expect(await readdir('deploy/manifests')).toEqual(Object.keys(files).sort())
    for (const [name, text] of Object.entries(files)) {
      expect(readFileSync(`deploy/manifests/${name}`, 'utf8'), name).toBe(text)
    }
  })
})

function fileOf(objects: readonly Manifest[], name: string, file: string): string {
  const found = objects.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === name)
  return (found?.['data'] as Record<string, string> | undefined)?.[file] ?? ''
}

/** What the driver asks kubelet for, and what the agent's own token is for. */
function audiencesIn(objects: readonly Manifest[]): string[] {
  return Array.from(JSON.stringify(objects).matchAll(/"audience":"([^"]+)"/g), ([, audience]) => audience ?? '')
}
