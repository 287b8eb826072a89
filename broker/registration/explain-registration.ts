import { formatDuration } from '../../core/runtime/duration.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { renderNames } from './identity-rendering.ts'
import { BUILT_IN_TEMPLATE, type IdentityTemplate } from './identity-template.ts'
import type { Labels, PodDescription } from './pod-facts.ts'
import type { TtlBounds, WorkloadIdentity } from './workload-identity.ts'
import { whyNotSelected } from './template-selection.ts'

/** What one template says to one pod. */
export interface TemplateVerdict {
  readonly template: string
  readonly selects: boolean
  /** Why, in words: a whole clause without a full stop. */
  readonly reason: string
}

/** Which identity a pod gets, or why none, and what every template has to do with it. */
export interface RegistrationExplanation {
  readonly verdicts: readonly TemplateVerdict[]
  /** For people, in sentences: those that select first, and of the others a few. */
  readonly reasons: readonly string[]
  readonly identity: WorkloadIdentity | undefined
  /** An `IdentityError` where there is none. */
  readonly refusal: unknown
}

/** All that is known of a pod. Labels are `undefined` where nobody knows them. */
export interface ExplainedPod {
  readonly pod: PodDescription
  readonly podLabels: Labels | undefined
  readonly namespaceLabels: Labels | undefined
  readonly trustDomain: TrustDomain
}

/** Of templates that do not select a pod, so many are told of. */
const MAX_OTHERS = 20

/** Says for one pod what each template has to do with it and what comes out; decides as issuance does, and never throws. */
export function explainRegistration(
  templates: readonly IdentityTemplate[],
  facts: ExplainedPod,
  bounds: TtlBounds,
): RegistrationExplanation {
  const verdicts = templates.map((template) => verdictOf(template, facts))
  const reasons = reasonsOf(verdicts)
  try {
    const selecting = templates.filter((_, index) => verdicts[index]?.selects)
    const template = templates.length === 0 ? BUILT_IN_TEMPLATE : theOnly(selecting)
    return { verdicts, reasons, identity: identityBy(template, facts, bounds), refusal: undefined }
  } catch (refusal) {
    return { verdicts, reasons, identity: undefined, refusal }
  }
}

/**
 * The one template that selects a pod. Two refuse, since guessing would give an identity that nobody meant.
 *
 * @throws {@link IdentityError} `template_not_matched`, `template_ambiguous`, `object_invalid`.
 */
export function theOnly(selecting: readonly IdentityTemplate[]): IdentityTemplate {
  const [template, ...others] = selecting
  if (!template) throw new IdentityError('template_not_matched', 'no IdentityTemplate selects the workload')
  if (others.length > 0) {
    // The names go to the record alone: they would tell the caller how others are told apart.
    throw new IdentityError('template_ambiguous', 'more than one IdentityTemplate selects the workload', {
      cause: new Error(`selected by ${selecting.map(({ name }) => name).join(', ')}`),
    })
  }
  if (template.unusable !== undefined) {
    throw new IdentityError('object_invalid', 'the IdentityTemplate that selects the workload is invalid', {
      cause: new Error(`${template.name}: ${template.unusable}`),
    })
  }
  return template
}

/** What `template` gives the pod. @throws {@link IdentityError} if it cannot be filled, or its ttl is not given. */
export function identityBy(template: IdentityTemplate, facts: ExplainedPod, bounds: TtlBounds): WorkloadIdentity {
  const { keyType, hint, name } = template
  return { ...renderNames(template, facts), ttlMs: ttlOf(template, bounds), keyType, hint, template: name }
}

function ttlOf({ ttlMs }: IdentityTemplate, { minTtlMs, maxTtlMs, defaultTtlMs }: TtlBounds): number {
  const ttl = ttlMs ?? defaultTtlMs
  if (ttl >= minTtlMs && ttl <= maxTtlMs) return ttl
  const [asked, least, most] = [ttl, minTtlMs, maxTtlMs].map(formatDuration)
  throw new IdentityError('ttl_out_of_bounds', `the template's ttl ${asked} is not within ${least} and ${most}`)
}

function verdictOf(template: IdentityTemplate, { pod, podLabels, namespaceLabels }: ExplainedPod): TemplateVerdict {
  const none: Labels = new Map()
  const unknown = { pod: false, namespace: false }
  const why = whyNotSelected(template, pod, {
    pod: () => {
      unknown.pod = podLabels === undefined
      return podLabels ?? none
    },
    namespace: () => {
      unknown.namespace = namespaceLabels === undefined
      return namespaceLabels ?? none
    },
  })
  const base = { template: template.name, selects: false }
  if (unknown.pod || unknown.namespace) return { ...base, reason: 'the labels that it selects by are not known' }
  if (why !== undefined) return { ...base, reason: why }
  if (template.unusable !== undefined) return { ...base, selects: true, reason: `it is invalid: ${template.unusable}` }
  return { ...base, selects: true, reason: selectedBy(template) }
}

function selectedBy({ serviceAccounts, podSelector, namespaceSelector }: IdentityTemplate): string {
  const parts = [
    serviceAccounts && 'spec.serviceAccounts',
    namespaceSelector && 'spec.namespaceSelector',
    podSelector && 'spec.podSelector',
  ].filter((part) => part !== undefined)
  return parts.length === 0 ? 'it has no selectors, and so selects every pod' : `${parts.join(', ')} hold`
}

function reasonsOf(verdicts: readonly TemplateVerdict[]): readonly string[] {
  if (verdicts.length === 0) return ['There is no IdentityTemplate at all, so the built-in one applies to every pod.']
  const selecting = verdicts.filter(({ selects }) => selects)
  const others = verdicts.filter(({ selects }) => !selects)
  const left = others.length - MAX_OTHERS
  return [
    ...selecting.map(({ template, reason }) => `${template} selects it: ${reason}.`),
    ...others.slice(0, MAX_OTHERS).map(({ template, reason }) => `${template} does not select it: ${reason}.`),
    ...(left > 0 ? [`${left} more do not select it.`] : []),
  ]
}
