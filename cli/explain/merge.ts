import { type ExplainPodResponse, StepOutcome, Verdict } from '../../proto/gen/countersign/admin/v1/admin_pb.ts'
import type { Outcome } from '../checks/check.ts'
import type { Step } from './explanation.ts'

/** Why a pod has its identity, or none: what the broker and what the cluster say, together. */
export interface Explanation {
  readonly hasIdentity: boolean
  /** `warn`: nobody could say whether it has one. */
  readonly outcome: 'pass' | 'warn' | 'fail'
  readonly summary: string
  readonly steps: readonly Step[]
}

const OUTCOMES: Readonly<Record<number, Outcome>> = {
  [StepOutcome.OK]: 'pass',
  [StepOutcome.FAILED]: 'fail',
  [StepOutcome.SKIPPED]: 'skip',
  [StepOutcome.UNKNOWN]: 'warn',
}

/** What only the cluster knows; the broker has its own words for the rest. */
const ONLY_KUBERNETES = new Set(['csi-driver', 'registration', 'mount'])

/** @param answered what the broker said, or why it could not be asked. */
export function mergeExplanation(
  kubernetes: readonly Step[],
  answered: ExplainPodResponse | { readonly failure: string },
): Explanation {
  const failed = kubernetes.find(({ outcome }) => outcome === 'fail')
  if ('failure' in answered) {
    const broker: Step = {
      name: 'broker',
      outcome: 'warn',
      found: `The broker could not be asked: ${answered.failure}`,
      remedy: 'See countersign check.',
    }
    return {
      hasIdentity: false,
      outcome: failed ? 'fail' : 'warn',
      summary: failed
        ? failed.found
        : 'Whether it has an identity is not known, for the broker could not be asked; nothing in the cluster stands in the way.',
      steps: [...kubernetes, broker],
    }
  }
  const { verdict, summary } = answered
  const hasIdentity = verdict === Verdict.HAS_IDENTITY
  const volume = kubernetes.find(({ name }) => name === 'volume')
  // The broker does not know of other drivers' volumes, one of which may be ours misspelt.
  const ofBroker = answered.steps
    .map(stepOf)
    .map((step) => (lacksVolume(step) && volume ? { ...volume, outcome: step.outcome } : step))
  const steps = [...ofBroker, ...kubernetes.filter(({ name }) => ONLY_KUBERNETES.has(name))]
  const brokerKnows = answered.steps.some(({ outcome }) => outcome === StepOutcome.FAILED)
  return {
    hasIdentity,
    outcome: hasIdentity ? 'pass' : 'fail',
    summary: !hasIdentity && !brokerKnows && failed ? failed.found : summary,
    steps,
  }
}

const lacksVolume = ({ name, outcome }: Step): boolean => name === 'volume' && outcome === 'skip'

function stepOf({ name, outcome, found, code, remedy }: ExplainPodResponse['steps'][number]): Step {
  return {
    name,
    outcome: OUTCOMES[outcome] ?? 'warn',
    found,
    ...(code !== '' && { code }),
    ...(remedy !== '' && { remedy }),
  }
}
