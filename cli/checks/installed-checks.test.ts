import { existsSync, globSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { AuthorityState, ConditionStatus } from '../../proto/gen/countersign/admin/v1/admin_pb.ts'
import {
  agent,
  at,
  authorityList,
  BUNDLE,
  DEFINITION,
  DRIVER,
  forbidden,
  installedFacts,
  node,
  pod,
  status,
  template,
  unreachable,
  waiting,
} from '../../test/fakes/check-facts.ts'
import type { Outcome } from './check.ts'
import type { InstalledFacts } from './facts.ts'
import { INSTALLED_CHECKS } from './installed-checks.ts'
import { runChecks, worst } from './run-checks.ts'

const DAY_MS = 86_400_000

function resultOf(id: string, facts: Partial<InstalledFacts>) {
  const result = runChecks(INSTALLED_CHECKS, installedFacts(facts)).find((each) => each.id === id)
  if (!result) throw new Error(`there is no check ${id}`)
  return result
}

/** Everything that a person would read of a result. */
const wordsOf = ({ reason, remedy = '', findings = [] }: ReturnType<typeof resultOf>) =>
  [reason, remedy, ...findings.flatMap((finding) => [finding.subject, finding.reason, finding.remedy ?? ''])].join('\n')

test('an installation with nothing wrong passes every check', () => {
  const results = runChecks(INSTALLED_CHECKS, installedFacts())
  expect(results.filter(({ outcome }) => outcome !== 'pass')).toEqual([])
  expect(worst(results)).toBe('pass')
})

test('every document that a remedy names is there', () => {
  const sources = globSync('cli/**/*.ts').map((file) => readFileSync(file, 'utf8'))
  const named = new Set(sources.flatMap((source) => source.match(/docs\/[a-z/-]+\.md/g) ?? []))
  expect([...named].filter((file) => !existsSync(file))).toEqual([])
  expect(named.size).toBeGreaterThan(3)
})

test('every id is there once', () => {
  const ids = INSTALLED_CHECKS.map(({ id }) => id)
  expect(new Set(ids).size).toBe(ids.length)
})

const broken: [what: string, id: string, facts: Partial<InstalledFacts>, outcome: Outcome, ...says: string[]][] = [
  [
    'an API server that does not answer',
    'api-server-reachable',
    { version: unreachable('ECONNREFUSED') },
    'fail',
    'ECONNREFUSED',
    '--kubeconfig',
  ],
  ['an API server that does not answer has no version', 'api-server-version', { version: unreachable('x') }, 'skip'],
  [
    'an old API server',
    'api-server-version',
    { version: { value: { text: 'v1.33.9', major: 1, minor: 33 } } },
    'fail',
    'v1.33.9',
    'Upgrade',
  ],
  [
    'a kubelet that no agent can register with',
    'kubelet-versions',
    { nodes: { value: [node('old', { kubelet: 'v1.28.15' })] } },
    'fail',
    'old',
    'v1.28.15',
    'Upgrade the kubelets',
  ],
  [
    'a kubelet that loses volumes',
    'kubelet-versions',
    { nodes: { value: [node('old', { kubelet: 'v1.33.1' })] } },
    'warn',
    'old',
    'v1.33.1',
  ],
  [
    'a kubelet that says nothing',
    'kubelet-versions',
    { nodes: { value: [node('odd', { kubelet: '' })] } },
    'fail',
    'odd',
  ],
  ['no node', 'kubelet-versions', { nodes: { value: [] } }, 'warn', 'no node'],
  [
    'a Windows node',
    'nodes-linux',
    { nodes: { value: [node('win', { operatingSystem: 'windows' })] } },
    'warn',
    'win',
    'windows',
  ],
  [
    'nodes that may not be looked at',
    'nodes-linux',
    { nodes: forbidden('nodes is forbidden') },
    'warn',
    'nodes is forbidden',
  ],
  ['no CRD', 'crds', { crds: { value: [] } }, 'fail', 'identitytemplates.countersign.dev', 'missing'],
  [
    'no CRD where a directory has the templates',
    'crds',
    { crds: { value: [] }, status: status({ settings: { templateSource: 'directory' } }) },
    'pass',
  ],
  [
    'a CRD of another version',
    'crds',
    {
      crds: {
        value: [{ ...DEFINITION, versions: ['v1'] }],
      },
    },
    'fail',
    'serves v1 and not v1alpha1',
  ],
  [
    'a CRD that is not established',
    'crds',
    {
      crds: {
        value: [{ ...DEFINITION, isEstablished: false }],
      },
    },
    'fail',
    'not established',
  ],
  [
    'a CRD of an older release, which wrote nothing down',
    'crds',
    { crds: { value: [{ ...DEFINITION, digest: undefined }] } },
    'warn',
    '1 definition of 1 is not of release',
    'identitytemplates.countersign.dev',
    'kubectl apply --server-side --force-conflicts -f deploy/manifests/2-custom-resource-definitions.yaml',
    'says not of which release it is',
  ],
  [
    'a CRD of another release, and a broker that does not say of which it is',
    'crds',
    { crds: { value: [{ ...DEFINITION, digest: '0123456789abcdef' }] }, status: unreachable('no broker') },
    'warn',
    'is that of another release',
    'If the broker is of another release',
  ],
  [
    'a CRD of the release of the command, which is not that of the broker',
    'crds',
    { status: status({ version: '9.9.9' }) },
    'warn',
    'the broker is of release 9.9.9',
  ],
  ['no CSIDriver', 'csi-driver', { csiDriver: { value: undefined } }, 'fail', 'missing', 'Install again'],
  ['no broker', 'broker-deployment', { brokerDeployment: { value: undefined } }, 'fail', 'no broker', 'Install'],
  [
    'a broker elsewhere',
    'broker-deployment',
    { brokerDeployment: { value: undefined }, brokerIsElsewhere: true },
    'skip',
  ],
  [
    'a broker that is scaled to nothing',
    'broker-deployment',
    { brokerDeployment: { value: { name: 'b', desired: 0, ready: 0 } } },
    'fail',
    'scale deployment b',
  ],
  [
    'a broker whose image cannot be pulled',
    'broker-deployment',
    {
      brokerDeployment: { value: { name: 'b', desired: 1, ready: 0 } },
      brokerPods: { value: [pod({ name: 'b-1', problems: ['container broker: ImagePullBackOff: no such image'] })] },
    },
    'fail',
    'b: 0 of 1 ready',
    'ImagePullBackOff: no such image',
  ],
  [
    'a broker whose ledger has no volume',
    'broker-deployment',
    {
      brokerDeployment: { value: { name: 'b', desired: 1, ready: 0 } },
      brokerPods: {
        value: [
          pod({
            namespace: 'countersign-system',
            node: '',
            claims: ['countersign-ledger'],
            problems: ['not scheduled: pod has unbound immediate PersistentVolumeClaims'],
          }),
        ],
      },
    },
    'fail',
    'kubectl -n countersign-system describe pvc countersign-ledger',
    'is-default-class=true',
    'persistence.storageClass=NAME',
  ],
  [
    'a broker that cannot be reached',
    'broker-reachable',
    { status: unreachable('port 8444: connection refused') },
    'fail',
    'connection refused',
  ],
  [
    'a broker that refuses',
    'broker-reachable',
    { status: forbidden('get brokerstatuses (countersign.dev) is missing') },
    'fail',
    'brokerstatuses',
    'Add the rule',
  ],
  [
    'a broker that is not ready',
    'broker-ready',
    { status: status({ notReady: ['the ledger is full'] }) },
    'fail',
    'the ledger is full',
  ],
  [
    'a broker with a problem',
    'broker-problems',
    {
      status: status({
        problems: [
          { key: 'rbac/pods', code: 'kubernetes_forbidden', message: 'list pods', remedy: 'add { resources: [pods] }' },
        ],
      }),
    },
    'fail',
    'kubernetes_forbidden: list pods',
    'add { resources: [pods] }',
  ],
  [
    'a broker that knows of a template what the templates say themselves',
    'broker-problems',
    {
      status: status({
        problems: [{ key: 'templates/web', code: 'object_invalid', message: 'IdentityTemplate web: is wrong' }],
      }),
      templates: { value: [template('web', { problems: [{ path: '', message: 'is wrong' }] })] },
    },
    'pass',
    'nothing but what stands below of templates',
  ],
  [
    'a broker that knows of a template what the templates do not say',
    'broker-problems',
    {
      status: status({
        problems: [{ key: 'templates/web', code: 'template_ambiguous', message: 'db claims the same' }],
      }),
    },
    'fail',
    'db claims the same',
  ],
  [
    'a broker whose clock is ahead',
    'broker-clock',
    { status: status({ serverTime: at(95_000) }) },
    'warn',
    '95.0 s ahead',
  ],
  [
    'a broker whose clock is behind',
    'broker-clock',
    { status: status({ serverTime: at(-45_000) }) },
    'warn',
    '45.0 s behind',
  ],
  [
    'no trust bundle',
    'trust-bundle',
    { trustBundle: { value: undefined } },
    'fail',
    'countersign-agent/countersign-trust-bundle',
    'bundle.configMaps',
  ],
  [
    'a trust bundle without an authority',
    'trust-bundle',
    { trustBundle: { value: { bundle: { ...BUNDLE, authorities: [] } } } },
    'fail',
    'lacks 1 authority',
  ],
  [
    'a trust bundle newer than the broker',
    'trust-bundle',
    { status: status({ bundleSequence: 3n }) },
    'fail',
    'rolled back',
    'back-up',
  ],
  [
    'no authority that signs',
    'authorities',
    { authorities: authorityList({ authorities: [] }) },
    'fail',
    'no authority signs',
  ],
  [
    'an authority that has expired',
    'authorities',
    {
      authorities: authorityList({
        authorities: [{ keyId: 'k', state: AuthorityState.ACTIVE, notBefore: at(-14 * DAY_MS), notAfter: at(-1) }],
      }),
    },
    'fail',
    'has expired',
  ],
  [
    'an authority that ends and waits for an agent',
    'authorities',
    {
      authorities: authorityList({
        authorities: [
          { keyId: 'k1', state: AuthorityState.ACTIVE, notBefore: at(-13 * DAY_MS), notAfter: at(DAY_MS) },
          {
            keyId: 'k2',
            state: AuthorityState.PREPARED,
            notBefore: at(-DAY_MS),
            notAfter: at(13 * DAY_MS),
            activation: { waitingForCount: 1, waitingForNodes: ['node-b'] },
          },
        ],
      }),
    },
    'warn',
    'not active yet',
    'waits for node-b',
  ],
  [
    'no DaemonSet',
    'agent-daemonset',
    { agentDaemonSet: { value: undefined }, agents: { value: [] } },
    'fail',
    'no DaemonSet',
  ],
  ['agents that nobody manages here', 'agent-daemonset', { agentDaemonSet: { value: undefined } }, 'skip', '2 agents'],
  [
    'agents that nobody can tell of',
    'agent-daemonset',
    { agentDaemonSet: { value: undefined }, brokerIsElsewhere: true, agents: unreachable('x') },
    'skip',
  ],
  [
    'a DaemonSet for no node',
    'agent-daemonset',
    { agentDaemonSet: { value: { name: 'a', desired: 0, ready: 0 } } },
    'fail',
    'nodeSelector',
  ],
  [
    'an agent that crashes',
    'agent-daemonset',
    {
      agentDaemonSet: { value: { name: 'a', desired: 2, ready: 1 } },
      agentPods: {
        value: [
          pod({
            namespace: 'countersign-agent',
            name: 'a-1',
            node: 'node-b',
            problems: ['container agent: CrashLoopBackOff'],
          }),
        ],
      },
    },
    'fail',
    'a-1 on node-b',
    'CrashLoopBackOff',
  ],
  [
    'a node without an agent',
    'agents-on-nodes',
    { agentPods: { value: [pod({ node: 'node-a' })] } },
    'warn',
    'node-b',
    'tolerations',
  ],
  [
    'a DaemonSet that may not be looked at',
    'agents-on-nodes',
    { agentDaemonSet: forbidden('cannot list resource "daemonsets"') },
    'skip',
    'could not be looked at',
  ],
  [
    'a kubelet that does not know the driver',
    'csi-registration',
    { csiNodes: { value: [{ node: 'node-a', drivers: ['csi.countersign.dev'] }] } },
    'fail',
    'node-b',
    'plugins_registry',
  ],
  [
    'an agent that is away',
    'agents-connected',
    { agents: { value: [agent('node-a'), agent('node-b', { connected: false })] } },
    'fail',
    'node-b',
    'not connected',
  ],
  ['no agent ever', 'agents-connected', { agents: { value: [] } }, 'fail', 'no agent has ever connected'],
  [
    'an agent that is behind',
    'agents-up-to-date',
    { agents: { value: [agent('node-a', { upToDate: false, enforcedBundleSequence: 5n })] } },
    'warn',
    'sequence 5',
  ],
  [
    'a clock that is behind',
    'clock-skew',
    { agents: { value: [agent('node-a', { clockSkew: { seconds: -70n } })] } },
    'fail',
    'node-a',
    '70.0 s behind',
    'NTP|chrony',
  ],
  [
    'an agent’s SVID that expired',
    'agent-svids',
    { agents: { value: [agent('node-a', { svidNotAfter: at(-1) })] } },
    'fail',
    'node-a',
  ],
  [
    'a template with a problem',
    'templates',
    { templates: { value: [template('web', { problems: [{ path: 'spec.ttl', message: 'too long' }] })] } },
    'fail',
    'web',
    'spec.ttl: too long',
  ],
  [
    'two templates that claim one pod',
    'templates',
    {
      templates: {
        value: [
          template('a', {
            conditions: [
              { type: 'Ready', status: ConditionStatus.FALSE, reason: 'Conflict', message: 'b claims shop/cart, too' },
            ],
          }),
          template('b'),
        ],
      },
    },
    'fail',
    'Conflict: b claims shop/cart, too',
  ],
  [
    'a template that never was in force',
    'templates',
    { templates: { value: [template('web', { inForce: false })] } },
    'fail',
    'not in force',
  ],
  [
    'a pod that no template selects',
    'waiting-pods',
    {
      waitingPods: waiting({
        pod: pod(),
        mountFailures: [
          {
            text: 'MountVolume.SetUp failed for volume "identity" : rpc error: code = PermissionDenied desc = template_not_matched: No IdentityTemplate selects shop/checkout',
            ageMs: 2_000,
          },
        ],
      }),
    },
    'fail',
    'shop/checkout',
    'template_not_matched',
    'Write a template that selects it',
  ],
  [
    'a pod of which kubelet has said nothing new for long',
    'waiting-pods',
    {
      waitingPods: waiting({
        pod: pod(),
        mountFailures: [
          { text: 'driver name csi.countersign.dev not found in the list of registered CSI drivers', ageMs: 40_300 },
        ],
      }),
    },
    'fail',
    'no agent is registered with the kubelet of its node (kubelet said so 40s ago, and tries again)',
  ],
  [
    'a pod whose volume is writable',
    'waiting-pods',
    {
      waitingPods: waiting({
        pod: pod({ volumes: [{ name: 'identity', readOnly: false, attributes: {} }] }),
        mountFailures: [],
      }),
    },
    'fail',
    'volume_not_read_only',
    'csi.readOnly: true',
  ],
  [
    'a pod that fits nowhere',
    'waiting-pods',
    {
      waitingPods: waiting({
        pod: pod({ node: '', problems: ['not scheduled: 0/2 nodes are available'] }),
        mountFailures: [],
      }),
    },
    'fail',
    '0/2 nodes',
  ],
  [
    'a pod that only the broker can tell of',
    'waiting-pods',
    {
      waitingPods: waiting({
        pod: pod(),
        mountFailures: [],
        explained: { summary: 'template_ambiguous: two claim it', remedy: 'Narrow the selectors' },
      }),
    },
    'fail',
    'two claim it',
    'Narrow',
  ],
  [
    'more pods than can be looked into',
    'waiting-pods',
    {
      waitingPods: {
        value: {
          pods: [{ pod: pod(), mountFailures: [{ text: 'desc = template_not_matched: none', ageMs: 0 }] }],
          more: 480,
        },
      },
    },
    'fail',
    '480 more',
    'not looked into',
  ],
  [
    'a pod that has just come',
    'waiting-pods',
    { waitingPods: waiting({ pod: pod(), mountFailures: [] }) },
    'warn',
    'nothing that is known',
  ],
]

describe('what is broken is named, with a remedy', () => {
  test.for(broken)('%s: %s', ([, id, facts, outcome, ...says]) => {
    const result = resultOf(id, facts)
    expect(result.outcome).toBe(outcome)
    for (const words of says)
      expect(wordsOf(result)).toMatch(new RegExp(words.replaceAll(/[.*+?^${}()[\]\\]/g, String.raw`\$&`)))
    if (outcome === 'fail') expect(result.remedy).toBeTruthy()
  })
})

const wrongDrivers: [what: string, change: Partial<typeof DRIVER>, outcome: Outcome, says: string][] = [
  ['not for inline volumes', { volumeLifecycleModes: ['Persistent'] }, 'fail', 'Ephemeral'],
  ['waits for attachments', { attachRequired: true }, 'fail', 'attachRequired'],
  ['does not say which pod', { podInfoOnMount: false }, 'fail', 'podInfoOnMount'],
  ['brings no fresh tokens', { requiresRepublish: false }, 'fail', 'requiresRepublish'],
  ['brings no token at all', { tokenAudiences: [] }, 'fail', 'tokenRequests is empty'],
  [
    'brings tokens for others',
    { tokenAudiences: ['countersign.dev/other.example'] },
    'fail',
    'countersign.dev/prod.example',
  ],
  [
    'brings tokens for the API server as well',
    { tokenAudiences: ['', 'countersign.dev/prod.example'] },
    'warn',
    'empty audience',
  ],
  ['lets tokens be logged', { tokenInSecrets: false }, 'warn', 'serviceAccountTokenInSecrets'],
]

test.for(wrongDrivers)('a CSIDriver that %s', ([, change, outcome, says]) => {
  const result = resultOf('csi-driver', { csiDriver: { value: { ...DRIVER, ...change } } })
  expect(result.outcome).toBe(outcome)
  expect(wordsOf(result)).toContain(says)
})

test('before 1.35 there is no serviceAccountTokenInSecrets to ask for', () => {
  const version = { value: { text: 'v1.34.2', major: 1, minor: 34 } }
  expect(resultOf('csi-driver', { version, csiDriver: { value: { ...DRIVER, tokenInSecrets: false } } }).outcome).toBe(
    'pass',
  )
})

test('a broker that cannot be asked fails one check, and the rest of it is skipped', () => {
  const away = unreachable('the broker could not be asked')
  const results = runChecks(
    INSTALLED_CHECKS,
    installedFacts({ status: unreachable('connection refused'), agents: away, authorities: away, templates: away }),
  )
  expect(results.filter(({ outcome }) => outcome === 'fail').map(({ id }) => id)).toEqual(['broker-reachable'])
  expect(results.filter(({ outcome }) => outcome === 'skip')).toHaveLength(9)
})
