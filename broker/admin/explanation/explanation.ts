import type { PodEvidence } from './evidence.ts'
import {
  deniedStep,
  identityStep,
  issuedStep,
  refusalsStep,
  renewalStep,
  templateStep,
  validOf,
} from './identity-steps.ts'
import { agentStep, nodeStep, podStep, serviceAccountStep, volumeStep } from './pod-steps.ts'
import { failed, skipped, type Step, type StepName, STEPS, unknown } from './step.ts'

export type PodVerdict = 'hasIdentity' | 'atRisk' | 'waiting' | 'noIdentity' | 'notAsked' | 'noPod' | 'unknown'

/** Why a pod has the identity that it has, or none. */
export interface Explanation {
  readonly verdict: PodVerdict
  readonly summary: string
  readonly steps: readonly Step[]
}

const DECIDE: { readonly [N in StepName]: (evidence: PodEvidence) => Step } = {
  pod: podStep,
  volume: volumeStep,
  node: nodeStep,
  agent: agentStep,
  'service-account': serviceAccountStep,
  template: templateStep,
  identity: identityStep,
  denied: deniedStep,
  issued: issuedStep,
  refusals: refusalsStep,
  renewal: renewalStep,
}

/** What the evidence comes to. Pure. */
export function explain(evidence: PodEvidence): Explanation {
  const asks = evidence.pod.volumes.length > 0
  const steps = NAMES.map((name, index) =>
    asks || index <= NAMES.indexOf('volume')
      ? DECIDE[name](evidence)
      : skipped(name, 'The pod does not ask for an identity.'),
  )
  return { ...verdictOf(evidence, steps), steps }
}

/** There is no such pod. */
export function explainNoPod(namespace: string, name: string): Explanation {
  const found = `There is no pod ${name} in the namespace ${namespace}.`
  const remedy = 'Check the names: kubectl get pods. What was issued to pods that are gone: countersign identity list.'
  return { verdict: 'noPod', summary: found, steps: [failed('pod', found, { remedy }), ...rest('There is no pod.')] }
}

/** Whether there is one could not be found out. */
export function explainUnknown(namespace: string, name: string, error: unknown): Explanation {
  const step = unknown('pod', `Whether the pod ${namespace}/${name} exists could not be found out`, error)
  return { verdict: 'unknown', summary: step.found, steps: [step, ...rest('The pod is not known.')] }
}

const NAMES = Object.keys(STEPS) as StepName[]

function rest(why: string): Step[] {
  return NAMES.filter((name) => name !== 'pod').map((name) => skipped(name, why))
}

function verdictOf({ pod, identities, now }: PodEvidence, steps: readonly Step[]): Omit<Explanation, 'steps'> {
  if (pod.volumes.length === 0) {
    return { verdict: 'notAsked', summary: 'The pod does not ask for an identity: it has no volume of our driver.' }
  }
  const bad = steps.find(({ outcome }) => outcome === 'failed')
  const valid = identities.is === 'there' ? validOf(identities.value.rows, now) : undefined
  if (valid) {
    if (!bad) return { verdict: 'hasIdentity', summary: `The pod has the identity ${valid.spiffeId}.` }
    return { verdict: 'atRisk', summary: `The pod has the identity ${valid.spiffeId}, but: ${bad.found}` }
  }
  // That none was issued is what is asked about; a step that says why comes first.
  const reason = steps.find(({ outcome, name }) => outcome === 'failed' && name !== 'issued') ?? bad
  if (reason) return { verdict: 'noIdentity', summary: `The pod has no identity: ${reason.found}` }
  if (identities.is === 'unknown') {
    return { verdict: 'unknown', summary: 'Whether the pod has an identity could not be found out.' }
  }
  return { verdict: 'waiting', summary: 'The pod waits for its identity; nothing is known to stand in the way.' }
}
