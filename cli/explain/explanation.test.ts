import { create } from '@bufbuild/protobuf'
import { expect, test } from 'vitest'
import { ExplainPodResponseSchema, StepOutcome, Verdict } from '../../proto/gen/countersign/admin/v1/admin_pb.ts'
import { DRIVER, forbidden, pod } from '../../test/fakes/check-facts.ts'
import type { Outcome } from '../checks/check.ts'
import { kubernetesSteps, type PodFacts } from './explanation.ts'
import { mergeExplanation } from './merge.ts'

const facts = (change: Partial<PodFacts> = {}): PodFacts => ({
  pod: pod({ phase: 'Running', isReady: true }),
  csiDriver: { value: DRIVER },
  isRegistered: { value: true },
  agentPod: {
    value: pod({ namespace: 'countersign-agent', name: 'countersign-agent-x', isReady: true, phase: 'Running' }),
  },
  mountFailures: { value: { ofOurs: [], ofOthers: [] } },
  hasStarted: true,
  ...change,
})

test('every step of a pod that has its volume is well', () => {
  const steps = kubernetesSteps(facts())
  expect(steps.map(({ name, outcome }) => [name, outcome])).toEqual(
    ['pod', 'volume', 'csi-driver', 'node', 'registration', 'mount'].map((name) => [name, 'pass']),
  )
})

const failures = (text: string, ageMs = 0) => ({ value: { ofOurs: [{ text, ageMs }], ofOthers: [] } })

const cases: [what: string, change: Partial<PodFacts>, step: string, outcome: Outcome, says: RegExp][] = [
  ['no such pod', { pod: undefined }, 'pod', 'fail', /no such pod/],
  ['a pod on its way out', { pod: pod({ isBeingDeleted: true }) }, 'pod', 'warn', /being deleted/],
  [
    'a driver that is misspelt',
    { pod: pod({ volumes: [], foreignVolumes: [{ name: 'identity', driver: 'csi.countersgn.dev' }] }) },
    'volume',
    'fail',
    /its volume identity is of csi\.countersgn\.dev\.\nWrite the driver’s name as here/,
  ],
  ['no volume', { pod: pod({ volumes: [] }) }, 'volume', 'fail', /asks for no identity.*readOnly: true/s],
  [
    'a writable volume',
    { pod: pod({ volumes: [{ name: 'v', readOnly: false, attributes: {} }] }) },
    'volume',
    'fail',
    /volume v is not readOnly/,
  ],
  ['no CSIDriver', { csiDriver: { value: undefined } }, 'csi-driver', 'fail', /is missing/],
  [
    'a wrong CSIDriver',
    { csiDriver: { value: { ...DRIVER, podInfoOnMount: false } } },
    'csi-driver',
    'fail',
    /podInfoOnMount/,
  ],
  [
    'a CSIDriver that may not be seen',
    { csiDriver: forbidden('csidrivers is forbidden') },
    'csi-driver',
    'warn',
    /forbidden/,
  ],
  [
    'no node',
    { pod: pod({ node: '', problems: ['not scheduled: no room'] }) },
    'node',
    'fail',
    /not scheduled: no room/,
  ],
  [
    'a claim without a volume',
    {
      pod: pod({
        node: '',
        claims: ['cart'],
        problems: ['not scheduled: 0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims.'],
      }),
    },
    'node',
    'fail',
    /kubectl -n shop describe pvc cart .*is-default-class=true\)\.$/,
  ],
  ['no node yet', { pod: pod({ node: '' }) }, 'node', 'warn', /not scheduled to a node yet/],
  [
    'no agent on the node',
    { isRegistered: { value: false }, agentPod: { value: undefined } },
    'registration',
    'fail',
    /does not know.*tolerations/s,
  ],
  [
    'an agent that crashes',
    {
      isRegistered: { value: false },
      agentPod: { value: pod({ name: 'a', problems: ['container agent: CrashLoopBackOff'] }) },
    },
    'registration',
    'fail',
    /CrashLoopBackOff.*describe pod a/s,
  ],
  [
    'a refusal',
    { hasStarted: false, mountFailures: failures('desc = template_not_matched: none selects it') },
    'mount',
    'fail',
    /template_not_matched.*Write a template/s,
  ],
  [
    'a failure that nobody knows',
    { hasStarted: false, mountFailures: failures('the moon') },
    'mount',
    'fail',
    /the moon$/m,
  ],
  [
    'a failure of a while ago',
    { hasStarted: false, mountFailures: failures('the moon', 61_000) },
    'mount',
    'fail',
    /the moon \(kubelet said so 1m1s ago, and tries again\)/,
  ],
  [
    'a Secret that is missing beside it',
    {
      hasStarted: false,
      mountFailures: {
        value: {
          ofOurs: [],
          ofOthers: [{ text: 'MountVolume.SetUp failed for volume "db" : secret "db" not found', ageMs: undefined }],
        },
      },
    },
    'mount',
    'warn',
    /nothing against the volume.*another one: MountVolume.SetUp failed for volume "db" : secret "db" not found/s,
  ],
  ['nothing said yet', { hasStarted: false }, 'mount', 'warn', /not mounted the volume yet/],
]

test.for(cases)('%s', ([, change, name, outcome, says]) => {
  const step = kubernetesSteps(facts(change)).find((each) => each.name === name)
  expect(step?.outcome).toBe(outcome)
  expect(`${step?.found}\n${step?.remedy}`).toMatch(says)
})

const answer = (verdict: Verdict, outcome: StepOutcome) =>
  create(ExplainPodResponseSchema, {
    verdict,
    summary: 'what the broker says',
    steps: [{ name: 'template', outcome, found: 'Template web selects it.', code: 'template_ambiguous', remedy: '' }],
  })

test('the broker’s words come first, and what only the cluster knows is added', () => {
  const merged = mergeExplanation(kubernetesSteps(facts()), answer(Verdict.HAS_IDENTITY, StepOutcome.OK))
  expect(merged).toMatchObject({ hasIdentity: true, summary: 'what the broker says' })
  expect(merged.steps.map(({ name }) => name)).toEqual(['template', 'csi-driver', 'registration', 'mount'])
})

test('of a pod without a volume of ours, the cluster tells which others there are', () => {
  const foreignVolumes = [{ name: 'identity', driver: 'csi.countersgn.dev' }]
  const merged = mergeExplanation(
    kubernetesSteps(facts({ pod: pod({ volumes: [], foreignVolumes }) })),
    create(ExplainPodResponseSchema, {
      verdict: Verdict.NO_IDENTITY,
      steps: [{ name: 'volume', outcome: StepOutcome.SKIPPED, found: 'It does not ask for an identity.' }],
    }),
  )
  expect(merged.steps).toEqual([
    expect.objectContaining({ name: 'volume', outcome: 'skip', found: expect.stringContaining('csi.countersgn.dev') }),
  ])
})

test('what kubelet says is the summary where the broker knows of no reason', () => {
  const steps = kubernetesSteps(facts({ isRegistered: { value: false } }))
  expect(mergeExplanation(steps, answer(Verdict.WAITING, StepOutcome.OK)).summary).toMatch(/does not know csi/)
  expect(mergeExplanation(steps, answer(Verdict.NO_IDENTITY, StepOutcome.FAILED)).summary).toBe('what the broker says')
})

test('without the broker the cluster alone is explained, and nothing is claimed', () => {
  const well = mergeExplanation(kubernetesSteps(facts()), { failure: 'connection refused' })
  expect(well).toMatchObject({
    hasIdentity: false,
    outcome: 'warn',
    summary: expect.stringContaining('the broker could not be asked') as string,
  })
  expect(well.steps.at(-1)).toMatchObject({ name: 'broker', outcome: 'warn' })
  const steps = kubernetesSteps(facts({ csiDriver: { value: undefined } }))
  expect(mergeExplanation(steps, { failure: 'x' })).toMatchObject({
    outcome: 'fail',
    summary: expect.stringMatching(/CSIDriver object .* is missing/) as string,
  })
})
