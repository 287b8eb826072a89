import type { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { explainRegistration, identityBy, type RegistrationExplanation, theOnly } from './explain-registration.ts'
import { needsLabels } from './identity-rendering.ts'
import { BUILT_IN_TEMPLATE, type IdentityTemplate } from './identity-template.ts'
import { asksForLabels, selects } from './label-selector.ts'
import type { PodDescription, PodFacts } from './pod-facts.ts'
import { PodLabels } from './pod-labels.ts'
import { labelsToSelect, TemplateIndex } from './template-selection.ts'
import type { TemplateSource } from './template-source.ts'
import type { TtlBounds, WorkloadIdentity } from './workload-identity.ts'

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

  /** Where the templates come from. */
  get templates(): TemplateSource {
    return this.#dependencies.templates
  }

  /**
   * The identity that the one template which selects the pod gives it. Where no template was written at all, the
   * built-in one does.
   *
   * @throws `IdentityError` `template_not_matched`, `template_ambiguous`, `object_invalid`, `template_unrenderable`,
   *   `spiffe_id_reserved`, `ttl_out_of_bounds`; what {@link PodFacts} and {@link TemplateSource} throw.
   */
  async identityOf(pod: PodDescription, signal: AbortSignal): Promise<WorkloadIdentity> {
    const { templates, podFacts, trustDomain } = this.#dependencies
    const all = templates.current()
    const labels = new PodLabels(podFacts, pod, signal)
    const template = all.length === 0 ? BUILT_IN_TEMPLATE : theOnly(await selecting(all, pod, labels))
    const needed = needsLabels(template)
    const facts = {
      trustDomain,
      pod,
      podLabels: needed.pod ? await labels.ofPod() : undefined,
      namespaceLabels: needed.namespace ? await labels.ofNamespace() : undefined,
    }
    return identityBy(template, facts, this.#bounds)
  }

  /** As {@link identityOf}, with the part that each template has in it; what would be thrown is its `refusal`. */
  async explain(pod: PodDescription, signal: AbortSignal): Promise<RegistrationExplanation> {
    const { templates, podFacts, trustDomain } = this.#dependencies
    try {
      const all = templates.current()
      const labels = new PodLabels(podFacts, pod, signal)
      const toSelect = labelsToSelect(TemplateIndex.of(all).candidates(pod))
      const needs = (kind: 'pod' | 'namespace') => toSelect[kind] || all.some((one) => needsLabels(one)[kind])
      const facts = {
        trustDomain,
        pod,
        podLabels: needs('pod') ? await labels.ofPod() : undefined,
        namespaceLabels: needs('namespace') ? await labels.ofNamespace() : undefined,
      }
      return explainRegistration(all, facts, this.#bounds)
    } catch (refusal) {
      signal.throwIfAborted()
      return { verdicts: [], reasons: [], identity: undefined, refusal }
    }
  }
}

/** Labels are looked up only where a template asks for them. */
async function selecting(
  all: readonly IdentityTemplate[],
  pod: PodDescription,
  labels: PodLabels,
): Promise<readonly IdentityTemplate[]> {
  const matching: IdentityTemplate[] = []
  for (const template of TemplateIndex.of(all).candidates(pod)) {
    const { podSelector, namespaceSelector } = template
    if (asksForLabels(namespaceSelector) && !selects(namespaceSelector, await labels.ofNamespace())) continue
    if (asksForLabels(podSelector) && !selects(podSelector, await labels.ofPod())) continue
    matching.push(template)
  }
  return matching
}
