import type { IdentityTemplate } from './identity-template.ts'
import { asksForLabels, selects } from './label-selector.ts'
import type { Labels } from './pod-facts.ts'

/** A workload as far as templates tell workloads apart by tokens alone. */
export interface ServiceAccountName {
  readonly namespace: string
  readonly serviceAccount: string
}

/**
 * Templates by the ServiceAccounts that they select, so that one of ten thousand is found without looking at them all.
 * Made once for each array of templates.
 */
export class TemplateIndex {
  readonly #anywhere: IdentityTemplate[] = []
  readonly #byAccount = new Map<string, IdentityTemplate[]>()
  static readonly #made = new WeakMap<readonly IdentityTemplate[], TemplateIndex>()

  private constructor(templates: readonly IdentityTemplate[]) {
    for (const template of templates) {
      if (!template.serviceAccounts) this.#anywhere.push(template)
      for (const account of new Set(template.serviceAccounts)) {
        const list = this.#byAccount.get(account)
        if (list) list.push(template)
        else this.#byAccount.set(account, [template])
      }
    }
  }

  static of(templates: readonly IdentityTemplate[]): TemplateIndex {
    const known = TemplateIndex.#made.get(templates)
    if (known) return known
    const index = new TemplateIndex(templates)
    TemplateIndex.#made.set(templates, index)
    return index
  }

  /** Those whose `serviceAccounts` select the workload, each once; their labels have still to be compared. */
  candidates({ namespace, serviceAccount }: ServiceAccountName): readonly IdentityTemplate[] {
    const anywhere = this.#byAccount.get(serviceAccount) ?? []
    const here = this.#byAccount.get(`${namespace}/${serviceAccount}`) ?? []
    if (anywhere.length === 0 && here.length === 0) return this.#anywhere
    return [...new Set([...this.#anywhere, ...anywhere, ...here])]
  }
}

/** Labels that are known; a function is asked only where a template needs them. */
export interface KnownLabels {
  readonly pod: () => Labels
  readonly namespace: () => Labels
}

/** Why a template does not select a workload; `undefined` if it does. */
export function whyNotSelected(
  { serviceAccounts, podSelector, namespaceSelector }: IdentityTemplate,
  { namespace, serviceAccount }: ServiceAccountName,
  labels: KnownLabels,
): string | undefined {
  if (
    serviceAccounts &&
    !serviceAccounts.includes(serviceAccount) &&
    !serviceAccounts.includes(`${namespace}/${serviceAccount}`)
  ) {
    return `spec.serviceAccounts has neither ${namespace}/${serviceAccount} nor ${serviceAccount}`
  }
  if (asksForLabels(namespaceSelector) && !selects(namespaceSelector, labels.namespace())) {
    return `spec.namespaceSelector does not hold for the labels of namespace ${namespace}`
  }
  if (asksForLabels(podSelector) && !selects(podSelector, labels.pod())) {
    return "spec.podSelector does not hold for the pod's labels"
  }
  return undefined
}

/** Which labels have to be known to tell whether these templates select a workload. */
export function labelsToSelect(templates: readonly IdentityTemplate[]): {
  readonly pod: boolean
  readonly namespace: boolean
} {
  return {
    pod: templates.some(({ podSelector }) => asksForLabels(podSelector)),
    namespace: templates.some(({ namespaceSelector }) => asksForLabels(namespaceSelector)),
  }
}
