/** Pods that get no identity, made wrong in every way that pods can be: the reason and the remedy must be the right ones. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { attachCluster } from './cluster/attach.ts'
import type { Cluster } from './cluster/cluster.ts'
import { DiagnosedInstallation } from './cluster-suites/diagnosed-installation.ts'
import {
  createNamespaceWith,
  identityPod,
  type IdentityPodOptions,
  templateFor,
} from './cluster-suites/identity-pod.ts'

const NAMESPACE = 'diagnosis-pods'

let cluster: Cluster
let countersign: DiagnosedInstallation

const template = (name: string, spec: object) => ({
  apiVersion: 'countersign.dev/v1alpha1',
  kind: 'IdentityTemplate',
  metadata: { name },
  spec: { serviceAccounts: [name], ...spec },
})

const pod = (name: string, change: Partial<IdentityPodOptions> = {}) =>
  identityPod({ namespace: NAMESPACE, name, node: 'node-a', serviceAccount: name, ...change })

/** A pod whose volume is `csi` instead of the right one. */
function withVolume(name: string, csi: object): object {
  const object = pod(name, { serviceAccount: 'usual' }) as { spec: { volumes: object[] } }
  object.spec.volumes = [{ name: 'identity', csi: { driver: 'csi.countersign.dev', ...csi } }]
  return object
}

beforeAll(async () => {
  cluster = await attachCluster()
  countersign = await DiagnosedInstallation.start(cluster, {
    issuance: { minTtl: '2s' },
    templates: [
      templateFor('usual', '1h'),
      templateFor('leaving', '1h'),
      template('twice', {}),
      { ...template('twice', { ttl: '1h' }), metadata: { name: 'twice-too' } },
      template('unlabelled', { spiffeId: 'spiffe://{{ trustDomain }}/team/{{ podLabels.team }}' }),
      template('badly-labelled', { spiffeId: 'spiffe://{{ trustDomain }}/team/{{ podLabels.team }}' }),
    ],
  })
  await createNamespaceWith(cluster, NAMESPACE, ['usual', 'nobody', 'twice', 'unlabelled', 'badly-labelled', 'leaving'])
  const badlyLabelled = pod('badly-labelled') as { metadata: { labels: Record<string, string> } }
  badlyLabelled.metadata.labels['team'] = ''
  await cluster.apply([
    pod('well', { serviceAccount: 'usual' }),
    pod('nobody'),
    pod('twice'),
    pod('unlabelled'),
    badlyLabelled,
    withVolume('writable', { readOnly: false }),
    withVolume('odd-attribute', { readOnly: true, volumeAttributes: { colour: 'red' } }),
    pod('nowhere', { serviceAccount: 'usual', spec: { nodeName: undefined, nodeSelector: { 'no-such-label': 'x' } } }),
  ])
  const withoutVolume = pod('without-volume', { serviceAccount: 'usual', volumes: 0 })
  await cluster.apply(withoutVolume)
})

afterAll(async () => {
  await cluster.deleteNamespace(NAMESPACE)
  await countersign.stop()
})

const reasons: [name: string, code: string, remedy: string][] = [
  ['nobody', 'template_not_matched', 'Write a template that selects it'],
  ['twice', 'template_ambiguous', 'Narrow the selectors'],
  ['unlabelled', 'template_unrenderable', 'names what is missing'],
  ['badly-labelled', 'template_unrenderable', 'names what is missing'],
  ['writable', 'volume_not_read_only', 'csi.readOnly: true'],
  ['odd-attribute', 'volume_attribute_unknown', 'Remove it'],
]

describe('why a pod waits', () => {
  test.for(reasons)('%s: %s', async ([name, code, remedy]) => {
    const explained = await countersign.explanationSays(NAMESPACE, name, code, remedy)
    expect(explained).toMatchObject({ code: 1, hasIdentity: false })
    const { findings = [] } = await countersign.checkSays('waiting-pods', `${NAMESPACE}/${name}`, code)
    const finding = findings.find(({ subject }) => subject === `${NAMESPACE}/${name}`)
    expect(finding?.reason).toContain(code)
    expect(finding?.remedy).toContain(remedy)
  })

  test('no node will have it', async () => {
    const explained = await countersign.explanationSays(NAMESPACE, 'nowhere', 'not scheduled')
    expect(explained.trouble).toMatch(/0\/2 nodes are available/)
    await countersign.checkSays('waiting-pods', `${NAMESPACE}/nowhere`, '0/2 nodes are available')
  })

  test('it asks for none', async () => {
    const explained = await countersign.explain(NAMESPACE, 'without-volume')
    expect(explained.hasIdentity).toBe(false)
    expect(`${explained.summary}\n${explained.trouble}`).toMatch(/volume/)
    expect((await countersign.check()).of('waiting-pods').findings?.map(({ subject }) => subject)).not.toContain(
      `${NAMESPACE}/without-volume`,
    )
  })

  test.for(['writable', 'nowhere'])('nothing can be read in %s, and the command says why', async (name) => {
    const { code, err } = await countersign.run('-n', NAMESPACE, 'svid', 'show', '--pod', name)
    expect(err).toMatch(/does not run \((ContainerCreating|Pending)\); countersign explain pod may say why/)
    expect(code).toBe(1)
  })

  test('there is none of that name', async () => {
    expect(await countersign.explain(NAMESPACE, 'nonsense')).toMatchObject({ code: 1, hasIdentity: false })
  })
})

describe('a pod that is well', () => {
  beforeAll(() => cluster.waitUntilPodReady(NAMESPACE, 'well'))

  test('is explained: who, by which template, until when', async () => {
    const { code, out } = await countersign.run('-n', NAMESPACE, 'explain', 'pod', 'well')
    expect(out).toContain(`spiffe://prod.example/ns/${NAMESPACE}/sa/usual`)
    expect(out).not.toMatch(/[✖‼]/)
    expect(code).toBe(0)
  })

  test('shows its SVID, and the ledger has the same', async () => {
    const { code, out, err } = await countersign.run('--json', '-n', NAMESPACE, 'svid', 'show', '--pod', 'well')
    expect({ code, err }).toEqual({ code: 0, err: '' })
    const [svid] = JSON.parse(out) as { spiffeId: string; serialNumber: string; verified: { ok: boolean } }[]
    expect(svid).toMatchObject({ spiffeId: `spiffe://prod.example/ns/${NAMESPACE}/sa/usual`, verified: { ok: true } })
    const shown = await countersign.run('-n', NAMESPACE, 'identity', 'show', svid?.serialNumber ?? '')
    expect(shown.out).toMatch(/Template: +usual/)
    expect(shown.out).toMatch(/Token: +reviewed by the API server/)
    const listed = await countersign.run('-n', NAMESPACE, 'identity', 'list')
    expect(listed.out).toContain(svid?.serialNumber ?? 'nothing')
  })

  test('whose ServiceAccount goes is told of before it has lost its identity', async () => {
    await cluster.apply(pod('leaving'))
    await cluster.waitUntilPodReady(NAMESPACE, 'leaving')
    await cluster.kubectl(['-n', NAMESPACE, 'delete', 'serviceaccount', 'leaving'])
    const explained = await countersign.explanationSays(NAMESPACE, 'leaving', 'service-account')
    expect(explained).toMatchObject({ code: 1, hasIdentity: false })
  })
})
