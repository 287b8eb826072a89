import type { KeyType } from '../../core/pki/key.ts'
import { formatDuration } from '../../core/runtime/duration.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { SpiffeId } from '../../core/spiffe/spiffe-id.ts'
import type { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import type { AttestedPod } from '../attestation/attested.ts'
import { needsLabels, renderNames } from './identity-rendering.ts'
import { BUILT_IN_TEMPLATE, type IdentityTemplate } from './identity-template.ts'
import { asksForLabels, selects } from './label-selector.ts'
import type { PodFacts } from './pod-facts.ts'
import { PodLabels } from './pod-labels.ts'
import type { TemplateSource } from './template-source.ts'

/** What is issued to a workload, as its template says. */
export interface WorkloadIdentity {
  readonly id: SpiffeId
  readonly dnsNames: readonly string[]
  readonly ttlMs: number
  readonly keyType: KeyType
  readonly hint: string
  readonly commonName: string | undefined
  /** The name of the template, for records. */
  readonly template: string
}

/** Bounds of an SVID's life, from the broker's configuration. */
export interface TtlBounds {
  readonly minTtlMs: number
  readonly maxTtlMs: number
  readonly defaultTtlMs: number
}

/** What {@link Registrations} works with. */
export interface RegistrationsDependencies {
  readonly templates: TemplateSource
  /** `undefined` where there is no API server: a template that asks for labels then refuses. */
  readonly podFacts: PodFacts | undefined
  readonly trustDomain: TrustDomain
}

/** Says which identity a pod has. */
export class Registrations {
  readonly #dependencies: RegistrationsDependencies
  readonly #bounds: TtlBounds

  constructor(dependencies: RegistrationsDependencies, bounds: TtlBounds) {
    this.#dependencies = dependencies
    this.#bounds = bounds
  }

  /**
   * The identity that the one template which selects the pod gives it. Where no template was written at all, the
   * built-in one does; two that match refuse, since guessing would give an identity that nobody meant.
   *
   * @throws {@link IdentityError} `template_not_matched`, `template_ambiguous`, `template_unrenderable`,
   *   `spiffe_id_reserved`, `ttl_out_of_bounds`, and what {@link PodFacts} throws.
   */
  async identityOf(pod: AttestedPod, signal: AbortSignal): Promise<WorkloadIdentity> {
    const { templates, podFacts, trustDomain } = this.#dependencies
    const all = templates.current()
    const labels = new PodLabels(podFacts, pod, signal)
    const template = all.length === 0 ? BUILT_IN_TEMPLATE : await theOneThatSelects(all, pod, labels)
    const needed = needsLabels(template)
    const names = renderNames(template, {
      trustDomain,
      pod,
      podLabels: needed.pod ? await labels.ofPod() : undefined,
      namespaceLabels: needed.namespace ? await labels.ofNamespace() : undefined,
    })
    const { keyType, hint, name } = template
    return { ...names, ttlMs: this.#ttlOf(template), keyType, hint, template: name }
  }

  #ttlOf({ ttlMs }: IdentityTemplate): number {
    const { minTtlMs, maxTtlMs, defaultTtlMs } = this.#bounds
    const ttl = ttlMs ?? defaultTtlMs
    if (ttl >= minTtlMs && ttl <= maxTtlMs) return ttl
    const [asked, least, most] = [ttl, minTtlMs, maxTtlMs].map(formatDuration)
    throw new IdentityError('ttl_out_of_bounds', `the template's ttl ${asked} is not within ${least} and ${most}`)
  }
}

async function theOneThatSelects(
  all: readonly IdentityTemplate[],
  pod: AttestedPod,
  labels: PodLabels,
): Promise<IdentityTemplate> {
  const matching: IdentityTemplate[] = []
  for (const template of all) {
    if (selectsServiceAccount(template, pod) && (await selectsLabels(template, labels))) matching.push(template)
  }
  const [template, ...others] = matching
  if (!template) throw new IdentityError('template_not_matched', 'no IdentityTemplate selects the workload')
  if (others.length > 0) {
    // The names go to the record alone: they would tell the caller how others are told apart.
    throw new IdentityError('template_ambiguous', 'more than one IdentityTemplate selects the workload', {
      cause: new Error(`selected by ${matching.map(({ name }) => name).join(', ')}`),
    })
  }
  return template
}

function selectsServiceAccount({ serviceAccounts }: IdentityTemplate, pod: AttestedPod): boolean {
  if (!serviceAccounts) return true
  return (
    serviceAccounts.includes(pod.serviceAccount) || serviceAccounts.includes(`${pod.namespace}/${pod.serviceAccount}`)
  )
}

async function selectsLabels(
  { podSelector, namespaceSelector }: IdentityTemplate,
  labels: PodLabels,
): Promise<boolean> {
  if (asksForLabels(namespaceSelector) && !selects(namespaceSelector, await labels.ofNamespace())) return false
  return !asksForLabels(podSelector) || selects(podSelector, await labels.ofPod())
}
