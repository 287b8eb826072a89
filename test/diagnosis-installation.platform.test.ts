/** Installations broken one way after the other, and repaired: `countersign` must name what was broken, and what to do. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { systemClock } from '../core/runtime/system-clock.ts'
import { encodeBundleDocument } from '../core/spiffe/bundle-document.ts'
import { TrustDomain } from '../core/spiffe/trust-domain.ts'
import { attachCluster } from './cluster/attach.ts'
import { waitFor } from './cluster/base/wait.ts'
import type { Cluster } from './cluster/cluster.ts'
import { removeDefinition } from './cluster-suites/custom-resources.ts'
import { DiagnosedInstallation } from './cluster-suites/diagnosed-installation.ts'
import { createNamespaceWith, identityPod } from './cluster-suites/identity-pod.ts'
import { writeKubeconfig } from './cluster-suites/kubeconfig.ts'
import { FakeBrokerAuthorities } from './fakes/fake-broker-authorities.ts'
import { runCli } from './fakes/run-cli.ts'

const NAMESPACE = 'diagnosis-installation'
const DRIVER_FILE = 'deploy/examples/csi-driver.yaml'
const CRD_FILE = 'deploy/chart/files/crds/identitytemplates.countersign.dev.yaml'

interface Named {
  metadata: { name: string; labels?: Record<string, string> }
  spec: Record<string, unknown>
}

let cluster: Cluster
let countersign: DiagnosedInstallation
let directory: string
let driver: Named

const pod = (name: string, node: 'node-a' | 'node-b') =>
  identityPod({ namespace: NAMESPACE, name, node, serviceAccount: 'usual' })
const remove = (...objects: string[]) => cluster.kubectl(['delete', '--ignore-not-found', '--wait', ...objects])

/** The CSIDriver object anew, since some of it cannot be changed. */
async function replaceDriver(spec: object, labels: Record<string, string> = {}): Promise<void> {
  await remove('csidriver/csi.countersign.dev')
  await cluster.apply({ ...driver, metadata: { ...driver.metadata, labels }, spec: { ...driver.spec, ...spec } })
}

beforeAll(async () => {
  cluster = await attachCluster()
  directory = await mkdtemp(join(tmpdir(), 'diagnosis-'))
  driver = parse(await readFile(DRIVER_FILE, 'utf8')) as Named
  await cluster.apply(await readFile(CRD_FILE, 'utf8'))
  countersign = await DiagnosedInstallation.start(cluster)
  await createNamespaceWith(cluster, NAMESPACE, ['usual'])
})

afterAll(async () => {
  await cluster.deleteNamespace(NAMESPACE)
  await countersign.stop()
  await rm(directory, { recursive: true, force: true })
})

test('nothing is wrong with an installation that is well', async () => {
  const { code, text } = await countersign.check('--wait', '30s')
  const { checks } = JSON.parse(text) as { checks: { id: string; outcome: string; reason: string }[] }
  expect(checks.filter(({ outcome }) => outcome === 'fail' || outcome === 'warn')).toEqual([])
  expect(code).toBe(0)
})

describe('the CSIDriver object', () => {
  test('is missing', async () => {
    await remove('csidriver/csi.countersign.dev')
    await cluster.apply(pod('driverless', 'node-a'))
    const { reason, remedy } = (await countersign.check()).of('csi-driver')
    expect(reason).toContain('it is missing')
    expect(remedy).toContain('helm upgrade --install')
    const explained = await countersign.explanationSays(
      NAMESPACE,
      'driverless',
      'is missing: kubelet refuses',
      'the CSIDriver object is missing, or does not allow inline volumes',
    )
    expect(explained.hasIdentity).toBe(false)
    await cluster.apply(driver)
    await cluster.waitUntilPodReady(NAMESPACE, 'driverless', { timeout: 120_000 })
  })

  test('is another trust domain’s', async () => {
    await replaceDriver({ tokenRequests: [{ audience: 'countersign.dev/other.example', expirationSeconds: 3600 }] })
    await cluster.apply(pod('other-audience', 'node-a'))
    const { outcome, findings } = (await countersign.check()).of('csi-driver')
    expect(outcome).toBe('fail')
    expect(JSON.stringify(findings)).toContain(
      "asks for 'countersign.dev/other.example' and not for countersign.dev/prod.example",
    )
    const explained = await countersign.explanationSays(
      NAMESPACE,
      'other-audience',
      'token_audience_wrong',
      'tokenRequests',
    )
    expect(explained.hasIdentity).toBe(false)
    await replaceDriver({})
  })

  test('says nothing of pods, and renews nothing', async () => {
    await replaceDriver({ podInfoOnMount: false, requiresRepublish: false })
    const { findings = [] } = await countersign.checkSays('csi-driver', '2 settings are wrong')
    expect(findings.map(({ reason }) => reason.split(' ')[0])).toEqual(['podInfoOnMount', 'requiresRepublish'])
    await replaceDriver({})
  })

  test('is somebody else’s, before an installation', async () => {
    const { remedy } = (await countersign.check('--pre')).of('csi-driver-name')
    expect(remedy).toContain('kubectl get csidriver csi.countersign.dev -o yaml')
    await replaceDriver({}, { 'app.kubernetes.io/name': 'countersign' })
    expect((await countersign.check('--pre')).of('csi-driver-name').outcome).toBe('pass')
  })
})

describe('an agent', () => {
  test('has left its node', async () => {
    await countersign.installation.agent('node-b').stop()
    const { findings } = await countersign.checkSays('csi-registration', 'node-b')
    expect(findings?.map(({ subject }) => subject)).toEqual(['node-b'])
    const { remedy } = await countersign.checkSays('agents-connected', 'node-b', 'not connected')
    expect(remedy).toContain('log of the agent')
    await cluster.apply(pod('agentless', 'node-b'))
    const explained = await countersign.explanationSays(
      NAMESPACE,
      'agentless',
      'registration',
      'does not know csi.countersign.dev',
    )
    expect(explained).toMatchObject({ code: 1, hasIdentity: false })
    await countersign.checkSays('waiting-pods', `${NAMESPACE}/agentless`, 'no agent is registered')
  })

  test('was killed, and its socket is still there', async () => {
    const agent = countersign.installation.agent('node-b')
    await agent.start()
    await agent.registered()
    await agent.kill()
    await cluster.apply(pod('unanswered', 'node-b'))
    const explained = await countersign.explanationSays(
      NAMESPACE,
      'unanswered',
      'kubelet cannot reach the agent on its node',
    )
    expect(explained.trouble).toContain('comes back by itself')
    await agent.start()
    await agent.registered()
    await cluster.waitUntilPodReady(NAMESPACE, 'unanswered', { timeout: 120_000 })
  })
})

async function allIsWell(): Promise<void> {
  await waitFor('all to be well', async () => (await countersign.check()).failed.length === 0, { interval: 1_000 })
}

describe('the broker', () => {
  test('does not run', async () => {
    // The agent that was killed before is known to kubelet again a moment after its pods are.
    await allIsWell()
    await countersign.installation.broker.stop()
    const looking = Promise.all([countersign.check(), countersign.run('status')])
    await looking.catch(() => {})
    await countersign.installation.broker.start()
    const [checked, status] = await looking
    expect(checked.failed).toEqual(['broker-reachable'])
    expect(checked.of('broker-reachable').reason).toMatch(/ECONNREFUSED/)
    expect(checked.of('agents-connected').outcome).toBe('skip')
    expect(status).toMatchObject({ code: 3, err: expect.stringContaining('broker_unavailable') as string })
    await allIsWell()
  })

  test('cannot be known, for the trust bundle is missing', async () => {
    await remove('-n', 'countersign-agent', 'configmap/countersign-trust-bundle')
    const checked = await countersign.check()
    expect(checked.of('trust-bundle').reason).toContain('countersign-agent/countersign-trust-bundle')
    expect(checked.of('broker-reachable').reason).toContain('--bundle-file')
  })

  test('is not the one of the trust bundle', async () => {
    const { bundle } = await FakeBrokerAuthorities.create(TrustDomain.parse('prod.example'), systemClock)
    await countersign.publishBundle(encodeBundleDocument({ x509: bundle, jwtAuthorities: [] }))
    const { reason } = (await countersign.check()).of('broker-reachable')
    expect(reason).toMatch(/does not lead to an authority of the trust domain/)
    expect(await countersign.run('status')).toMatchObject({
      code: 3,
      err: expect.stringContaining('chain_untrusted') as string,
    })
    await countersign.publishBundle(await countersign.bundleDocument())
    expect((await countersign.check()).of('trust-bundle').outcome).toBe('pass')
  })
})

describe('operators', () => {
  test('lack a rule', async () => {
    const rules = [
      {
        apiGroups: ['countersign.dev'],
        resources: ['brokerstatuses', 'trustbundles', 'signingauthorities'],
        verbs: ['get', 'list'],
      },
    ]
    await cluster.apply({
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name: 'countersign-viewer' },
      rules,
    })
    const { outcome, reason } = await countersign.checkSays('agents-connected', 'nodeagents')
    expect({ outcome, reason }).toMatchObject({
      outcome: 'warn',
      reason: expect.stringMatching(/list.*nodeagents/) as string,
    })
    const { code, err } = await countersign.run('identity', 'list', '-A')
    expect({ code, err }).toMatchObject({
      code: 4,
      err: expect.stringMatching(/admin_permission_denied: .*workloadidentities/) as string,
    })
    await countersign.restoreOperators()
  })

  test('have no ServiceAccount to ask as', async () => {
    await remove('-n', 'countersign-system', 'serviceaccount/countersign-cli')
    const { reason } = (await countersign.check()).of('broker-reachable')
    expect(reason).toMatch(/no ServiceAccount countersign-system\/countersign-cli.*--token-file/)
    await countersign.restoreOperators()
  })

  test('may see and make next to nothing', async () => {
    const kubeconfig = join(directory, 'usual.kubeconfig')
    await writeKubeconfig(cluster, kubeconfig, { namespace: NAMESPACE, serviceAccount: 'usual' })
    const pre = await runCli(['--kubeconfig', kubeconfig, '--json', 'check', '--pre'])
    expect(pre.code).toBe(1)
    expect(pre.out).toMatch(/create clusterroles \(rbac\.authorization\.k8s\.io\)/)
    const check = await runCli(['--kubeconfig', kubeconfig, 'check'])
    expect(check.out).toMatch(/‼ the kubelets are new enough\n.*it may not be looked at: nodes is forbidden/)
    expect(check.out).not.toMatch(/✔ every kubelet knows the driver/)
    const status = await runCli(['--kubeconfig', kubeconfig, 'status'])
    expect(status).toMatchObject({ code: 4, err: expect.stringContaining('kubernetes_forbidden') as string })
  })
})

describe('the cluster', () => {
  test('has CustomResourceDefinitions of another version', async () => {
    const crd = parse(await readFile(CRD_FILE, 'utf8')) as Named & {
      spec: { versions: { name: string; served: boolean }[] }
    }
    await removeDefinition(cluster, 'identitytemplates.countersign.dev')
    expect((await countersign.check()).of('crds').outcome).toBe('pass')
    const versions = crd.spec.versions.map((version) => ({ ...version, name: 'v1alpha9' }))
    await cluster.apply({ ...crd, spec: { ...crd.spec, versions } })
    const { findings } = await countersign.checkSays('crds', 'v1alpha9')
    expect(findings).toEqual([
      { subject: 'identitytemplates.countersign.dev', reason: 'serves v1alpha9 and not v1alpha1' },
    ])
    await removeDefinition(cluster, 'identitytemplates.countersign.dev')
    await cluster.apply(crd)
    await countersign.checkSays('crds', '"pass"')
  })

  test('has a node whose kubelet is too old', async () => {
    const name = 'museum'
    await cluster.api('POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name } })
    const nodeInfo = {
      kubeletVersion: 'v1.28.15',
      operatingSystem: 'linux',
      architecture: 'amd64',
      bootID: '',
      containerRuntimeVersion: '',
      kernelVersion: '',
      kubeProxyVersion: '',
      machineID: '',
      osImage: '',
      systemUUID: '',
    }
    await cluster.kubectl([
      'patch',
      'node',
      name,
      '--subresource=status',
      '--type=merge',
      '-p',
      JSON.stringify({ status: { nodeInfo } }),
    ])
    try {
      const { outcome, findings, remedy } = (await countersign.check()).of('kubelet-versions')
      expect(outcome).toBe('fail')
      expect(findings).toEqual([{ subject: name, reason: 'kubelet v1.28.15' }])
      expect(remedy).toContain('Upgrade the kubelets')
    } finally {
      await remove(`node/${name}`)
    }
  })

  test('has a policy against inline volumes', async () => {
    const policy = 'no-inline-volumes'
    const match = {
      resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
    }
    const metadata = { name: policy }
    await cluster.apply([
      {
        apiVersion: 'admissionregistration.k8s.io/v1',
        kind: 'ValidatingAdmissionPolicy',
        metadata,
        spec: {
          matchConstraints: match,
          validations: [
            {
              expression: '!object.spec.?volumes.orValue([]).exists(v, has(v.csi))',
              message: 'CSI volumes are not for pods here',
            },
          ],
        },
      },
      {
        apiVersion: 'admissionregistration.k8s.io/v1',
        kind: 'ValidatingAdmissionPolicyBinding',
        metadata,
        spec: {
          policyName: policy,
          validationActions: ['Deny'],
          matchResources: { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': NAMESPACE } } },
        },
      },
    ])
    try {
      const { reason, remedy } = await waitFor(
        'the policy to be in force',
        async () => {
          const result = (await countersign.check('--pre', '-n', NAMESPACE)).of('inline-volumes')
          return result.outcome === 'fail' && result
        },
        { interval: 1_000 },
      )
      expect(reason).toMatch(/no-inline-volumes.*CSI volumes are not for pods here/)
      expect(remedy).toContain('in the policy that the message names')
    } finally {
      await remove(`validatingadmissionpolicybinding/${policy}`, `validatingadmissionpolicy/${policy}`)
    }
  })

  test('lets no agent run in its namespace', async () => {
    const label = (level: string) =>
      cluster.kubectl([
        'label',
        '--overwrite',
        'namespace',
        'countersign-agent',
        `pod-security.kubernetes.io/enforce=${level}`,
      ])
    await label('baseline')
    const { outcome, remedy } = (await countersign.check('--pre')).of('namespaces')
    await label('privileged')
    expect(outcome).toBe('fail')
    expect(remedy).toBe(
      'kubectl label namespace countersign-agent pod-security.kubernetes.io/enforce=privileged --overwrite',
    )
  })

  test('does not answer', async () => {
    await cluster.stopApiServer()
    const { code, out } = await countersign.run('--request-timeout', '2s', 'check')
    const explained = await countersign.run('--request-timeout', '2s', 'explain', 'pod', 'x')
    await cluster.startApiServer()
    expect(code).toBe(3)
    expect(out).toMatch(/✖ the API server answers\n.*cannot be reached/)
    expect(explained).toMatchObject({ code: 3, err: expect.stringContaining('kubernetes_unavailable') as string })
  })
})
