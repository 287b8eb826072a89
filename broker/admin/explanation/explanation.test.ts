import { describe, expect, test } from 'vitest'
import { IdentityError } from '../../../core/runtime/errors.ts'
import { firstSerialAt } from '../../../core/pki/serial-number.ts'
import { SpiffeId } from '../../../core/spiffe/spiffe-id.ts'
import type { IdentityRow } from '../../ledger/ledger-queries.ts'
import type { WorkloadIdentity } from '../../registration/workload-identity.ts'
import type { PodEvidence } from './evidence.ts'
import { explain, explainNoPod, explainUnknown, type PodVerdict } from './explanation.ts'
import type { PodView } from './pod-view.ts'
import { type Outcome, type StepName, STEPS } from './step.ts'

const NOW = new Date('2026-01-01T12:00:00Z')
const minutes = (count: number) => new Date(NOW.getTime() + count * 60_000)
const ID = 'spiffe://prod.example/ns/shop/sa/cart'

const identity: WorkloadIdentity = {
  id: SpiffeId.parse(ID),
  dnsNames: [],
  ttlMs: 3_600_000,
  keyType: 'ec-p256',
  hint: '',
  commonName: undefined,
  template: 'web',
}

const pod = (change: Partial<PodView> = {}): PodView => ({
  namespace: 'shop',
  name: 'cart-0',
  uid: 'uid-1',
  createdAt: minutes(-60),
  nodeName: 'node-a',
  serviceAccount: 'cart',
  phase: 'Running',
  isBeingDeleted: false,
  unscheduled: '',
  volumes: [{ name: 'identity', isReadOnly: true, attributes: [], mountedBy: ['main'] }],
  ...change,
})

function row(issuedAt: Date, change: Partial<IdentityRow> = {}): IdentityRow {
  return {
    serialNumber: firstSerialAt(issuedAt),
    kind: 'workload',
    spiffeId: ID,
    nodeName: 'node-a',
    namespace: 'shop',
    serviceAccount: 'cart',
    podUid: 'uid-1',
    publicKeySha256: '',
    authorityKeyId: '',
    notAfter: new Date(issuedAt.getTime() + 3_600_000),
    outcome: 'issued',
    endedAt: undefined,
    ...change,
  }
}

const there = <T>(value: T) => ({ is: 'there', value }) as const
const past = <T>(rows: readonly T[], searchedTo?: Date) => there({ rows, searchedTo })
const unknown = {
  is: 'unknown',
  error: new IdentityError('store_unavailable', 'the ledger cannot be asked now'),
} as const
const connected = {
  nodeName: 'node-a',
  notAfter: minutes(30),
  since: minutes(-90),
  says: { version: '1', skewMs: 100 },
}
const agent = { nodeName: 'node-a', connected, enforced: 7n, holdsUntil: undefined }
const refusal = (at: Date, code = 'token_expired') => ({ at, code, reason: 'a reason', nodeName: 'node-a' })

/** All is well, but for `change`. */
const evidence = (change: Partial<PodEvidence> = {}): PodEvidence => ({
  now: NOW,
  pod: pod(),
  agent,
  bundleSequence: 7n,
  serviceAccount: there('sa-uid'),
  registration: { reasons: ['web selects it: it has no selectors.'], identity, refusal: undefined },
  identities: past([row(minutes(-10))]),
  refusals: past([]),
  ...change,
})

const refusedBy = (code: ConstructorParameters<typeof IdentityError>[0], message: string) => ({
  reasons: ['web does not select it: another namespace.'],
  identity: undefined,
  refusal: new IdentityError(code, message),
})

interface Case {
  readonly name: string
  readonly change: Partial<PodEvidence>
  readonly verdict: PodVerdict
  /** Steps that are not ok, each with its outcome. */
  readonly steps: Partial<Record<StepName, Outcome>>
  readonly summary: string
  readonly code?: string
}

const none = past<IdentityRow>([])
const cases: Case[] = [
  { name: 'all is well', change: {}, verdict: 'hasIdentity', steps: {}, summary: `has the identity ${ID}` },
  {
    name: 'it asks for nothing',
    change: { pod: pod({ volumes: [] }) },
    verdict: 'notAsked',
    steps: Object.fromEntries(
      Object.keys(STEPS)
        .slice(1)
        .map((name) => [name, 'skipped']),
    ),
    summary: 'does not ask',
  },
  {
    name: 'its volume may be written',
    change: {
      pod: pod({ volumes: [{ name: 'id', isReadOnly: false, attributes: [], mountedBy: [] }] }),
      identities: none,
    },
    verdict: 'noIdentity',
    steps: { volume: 'failed', issued: 'failed', renewal: 'skipped' },
    summary: 'The volume id is not readOnly',
    code: 'volume_not_read_only',
  },
  {
    name: 'its volume has an attribute that nobody knows',
    change: {
      pod: pod({
        volumes: [{ name: 'id', isReadOnly: true, attributes: ['csi.storage.k8s.io/x', 'ttl'], mountedBy: [] }],
      }),
      identities: none,
    },
    verdict: 'noIdentity',
    steps: { volume: 'failed', issued: 'failed', renewal: 'skipped' },
    summary: 'the attribute "ttl"',
    code: 'volume_attribute_unknown',
  },
  {
    name: 'it has no node',
    change: {
      pod: pod({
        nodeName: undefined,
        phase: 'Pending',
        unscheduled: '0/2 nodes are available.',
        createdAt: minutes(-1),
      }),
      agent: undefined,
      identities: none,
    },
    verdict: 'noIdentity',
    steps: { node: 'failed', agent: 'skipped', issued: 'unknown', renewal: 'skipped' },
    summary: 'The scheduler says: 0/2 nodes are available.',
  },
  {
    name: 'its agent is away, and it has its identity',
    change: { agent: { ...agent, connected: undefined } },
    verdict: 'atRisk',
    steps: { agent: 'failed' },
    summary: `has the identity ${ID}, but: The agent of the node node-a is not connected`,
    code: 'broker_unavailable',
  },
  {
    name: 'the clock of its node is wrong',
    change: { agent: { ...agent, connected: { ...connected, says: { version: '1', skewMs: -300_000 } } } },
    verdict: 'atRisk',
    steps: { agent: 'failed' },
    summary: 'The clock of the node node-a is 5m behind',
  },
  {
    name: 'its ServiceAccount is gone',
    change: { serviceAccount: { is: 'absent' } },
    verdict: 'atRisk',
    steps: { 'service-account': 'failed' },
    summary: 'Its ServiceAccount shop/cart does not exist any more',
    code: 'token_rejected',
  },
  {
    name: 'its ServiceAccount may not be looked up',
    change: {
      serviceAccount: {
        is: 'unknown',
        error: new IdentityError('kubernetes_forbidden', 'a rule is missing', { facts: { remedy: 'Add it.' } }),
      },
    },
    verdict: 'hasIdentity',
    steps: { 'service-account': 'unknown' },
    summary: 'has the identity',
  },
  {
    name: 'no template selects it',
    change: {
      registration: refusedBy('template_not_matched', 'no IdentityTemplate selects the workload'),
      identities: none,
    },
    verdict: 'noIdentity',
    steps: { template: 'failed', identity: 'skipped', denied: 'skipped', issued: 'failed', renewal: 'skipped' },
    summary: 'No IdentityTemplate selects the workload. web does not select it: another namespace.',
    code: 'template_not_matched',
  },
  {
    name: 'two templates select it',
    change: { registration: refusedBy('template_ambiguous', 'more than one IdentityTemplate selects the workload') },
    verdict: 'atRisk',
    steps: { template: 'failed', identity: 'skipped', denied: 'skipped' },
    summary: 'More than one IdentityTemplate',
    code: 'template_ambiguous',
  },
  {
    name: 'its template is wrong',
    change: {
      registration: refusedBy('object_invalid', 'the IdentityTemplate that selects the workload is invalid'),
      identities: none,
    },
    verdict: 'noIdentity',
    steps: { template: 'failed', identity: 'skipped', denied: 'skipped', issued: 'failed', renewal: 'skipped' },
    summary: 'is invalid',
    code: 'object_invalid',
  },
  {
    name: 'its template cannot be filled',
    change: { registration: refusedBy('template_unrenderable', 'podLabels.app is not there'), identities: none },
    verdict: 'noIdentity',
    steps: { identity: 'failed', denied: 'skipped', issued: 'failed', renewal: 'skipped' },
    summary: 'PodLabels.app is not there.',
    code: 'template_unrenderable',
  },
  {
    name: 'its template names an ID of ours',
    change: { registration: refusedBy('spiffe_id_reserved', 'the ID is reserved'), identities: none },
    verdict: 'noIdentity',
    steps: { identity: 'failed', denied: 'skipped', issued: 'failed', renewal: 'skipped' },
    summary: 'The ID is reserved.',
    code: 'spiffe_id_reserved',
  },
  {
    name: 'templates are not known',
    change: { registration: refusedBy('kubernetes_unavailable', 'the API server is not reached') },
    verdict: 'hasIdentity',
    steps: { template: 'unknown', identity: 'skipped', denied: 'skipped' },
    summary: 'has the identity',
  },
  {
    name: 'the last refusal is newer than the last SVID',
    change: { refusals: past([refusal(minutes(-5))]) },
    verdict: 'atRisk',
    steps: { refusals: 'failed' },
    summary: 'The broker refused it 5m ago: token_expired (a reason). The token has expired.',
    code: 'token_expired',
  },
  {
    name: 'the last refusal is older',
    change: { refusals: past([refusal(minutes(-15))]) },
    verdict: 'hasIdentity',
    steps: {},
    summary: 'has the identity',
  },
  {
    name: 'a refusal of a code of another version',
    change: { refusals: past([refusal(minutes(-5), 'some_day')]), identities: none },
    verdict: 'noIdentity',
    steps: { issued: 'failed', refusals: 'failed', renewal: 'skipped' },
    summary: 'some_day (a reason).',
  },
  {
    name: 'its SVID has expired',
    change: { identities: past([row(minutes(-90))]) },
    verdict: 'noIdentity',
    steps: { issued: 'failed', renewal: 'skipped' },
    summary: 'has expired at 2026-01-01T11:30:00.000Z',
    code: 'identity_expired',
  },
  {
    name: 'its SVID has ended',
    change: { identities: past([row(minutes(-10), { endedAt: minutes(-1) })]) },
    verdict: 'noIdentity',
    steps: { issued: 'failed', renewal: 'skipped' },
    summary: 'took its volume away',
  },
  {
    name: 'the broker cannot sign',
    change: { identities: past([row(minutes(-1), { outcome: 'failed' })]) },
    verdict: 'noIdentity',
    steps: { issued: 'failed', renewal: 'skipped' },
    summary: 'could not sign',
    code: 'authority_unavailable',
  },
  {
    name: 'nobody has asked for it, for long',
    change: { identities: none },
    verdict: 'noIdentity',
    steps: { issued: 'failed', renewal: 'skipped' },
    summary: 'No SVID was ever issued to it.',
  },
  {
    name: 'it was just made',
    change: { identities: none, pod: pod({ createdAt: minutes(-0.5), phase: 'Pending' }) },
    verdict: 'waiting',
    steps: { issued: 'unknown', renewal: 'skipped' },
    summary: 'waits for its identity',
  },
  {
    name: 'the ledger is too long',
    change: { identities: past<IdentityRow>([], minutes(-30)) },
    verdict: 'waiting',
    steps: { issued: 'unknown', renewal: 'skipped' },
    summary: 'waits for its identity',
  },
  {
    name: 'the ledger does not answer',
    change: { identities: unknown, refusals: unknown },
    verdict: 'unknown',
    steps: { issued: 'unknown', refusals: 'unknown', renewal: 'skipped' },
    summary: 'could not be found out',
  },
  {
    name: 'its renewal is late',
    change: { identities: past([row(minutes(-50))]) },
    verdict: 'atRisk',
    steps: { renewal: 'failed' },
    summary: 'should have been renewed at about 2026-01-01T11:40:00.000Z',
  },
  {
    name: 'it is over',
    change: { pod: pod({ phase: 'Succeeded' }), identities: past([row(minutes(-90))]) },
    verdict: 'noIdentity',
    steps: { pod: 'failed', issued: 'failed', renewal: 'skipped' },
    summary: 'The pod is over (Succeeded)',
  },
  {
    name: 'it is being deleted',
    change: { pod: pod({ isBeingDeleted: true }) },
    verdict: 'hasIdentity',
    steps: { renewal: 'skipped' },
    summary: 'has the identity',
  },
]

test.for(cases)('$name: $verdict', ({ change, verdict, steps, summary, code }) => {
  const explained = explain(evidence(change))
  expect(explained.verdict).toBe(verdict)
  expect(explained.summary).toContain(summary)
  const expected = Object.keys(STEPS).map((name) => [name, steps[name as StepName] ?? 'ok'])
  expect(explained.steps.map(({ name, outcome }) => [name, outcome])).toEqual(expected)
  if (code !== undefined) expect(explained.steps.map((step) => step.code)).toContain(code)
})

describe('each step says what to do where something is wrong', () => {
  test.for(cases)('$name', ({ change }) => {
    for (const { name, outcome, found, remedy } of explain(evidence(change)).steps) {
      expect(found, name).toMatch(/^[A-Z`].*[.)]$/s)
      if (outcome === 'failed') expect(remedy, name).not.toBe('')
    }
  })
})

test('what another ID the template gives is told', () => {
  const other = { ...identity, id: SpiffeId.parse('spiffe://prod.example/other') }
  const { steps } = explain(evidence({ registration: { reasons: [], identity: other, refusal: undefined } }))
  expect(steps.find(({ name }) => name === 'issued')?.found).toContain('becomes spiffe://prod.example/other')
})

test('no pod, and one that cannot be looked up, have all steps', () => {
  const names = Object.keys(STEPS)
  expect(explainNoPod('shop', 'x').steps.map(({ name }) => name)).toEqual(names)
  const error = new IdentityError('kubernetes_unavailable', 'the API server is not reached')
  const explained = explainUnknown('shop', 'x', error)
  expect(explained.steps.map(({ name }) => name)).toEqual(names)
  expect(explained.summary).toBe('Whether the pod shop/x exists could not be found out: the API server is not reached.')
})
