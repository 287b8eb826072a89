import type { Problem } from '../../core/runtime/config.ts'
import { formatDuration } from '../../core/runtime/duration.ts'
import type { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import type { IdentityTemplate } from './identity-template.ts'
import { asksForLabels } from './label-selector.ts'
import { nameOf, type TemplateText } from './template-text.ts'

/** What the broker's configuration allows a template to ask for. */
export interface TemplateRules {
  readonly minTtlMs: number
  readonly maxTtlMs: number
  readonly trustDomain: TrustDomain
  /** Whether there is an API server, which alone knows labels. */
  readonly knowsLabels: boolean
}

/**
 * What a template asks for that this broker can give to nobody: told when it is read, since a pod that it selects would
 * only hear of it when it starts.
 */
export function problemsOf(template: IdentityTemplate, rules: TemplateRules): readonly Problem[] {
  return [
    ...trustDomainProblems(template, rules),
    ...ttlProblems(template, rules),
    ...(rules.knowsLabels ? [] : labelProblems(template)),
  ]
}

/** Its trust domain is either written out or `{{ trustDomain }}` alone. */
function trustDomainProblems({ spiffeId: [first] }: IdentityTemplate, { trustDomain }: TemplateRules): Problem[] {
  const named = typeof first === 'string' ? /^spiffe:\/\/(?<domain>[^/]+)/.exec(first)?.groups?.['domain'] : undefined
  if (named === undefined || named === trustDomain.toString()) return []
  const message = `is of the trust domain ${named}, and this broker is of ${trustDomain.toString()}: write spiffe://{{ trustDomain }}/…`
  return [{ path: 'spec.spiffeId', message }]
}

function ttlProblems({ ttlMs }: IdentityTemplate, { minTtlMs, maxTtlMs }: TemplateRules): Problem[] {
  if (ttlMs === undefined || (ttlMs >= minTtlMs && ttlMs <= maxTtlMs)) return []
  const [ttl, least, most] = [ttlMs, minTtlMs, maxTtlMs].map(formatDuration)
  return [{ path: 'spec.ttl', message: `${ttl} is not within issuance.minTtl ${least} and issuance.maxTtl ${most}` }]
}

const NO_LABELS = 'needs labels, and the broker has no access to an API server (setting kubernetes)'

function labelProblems(template: IdentityTemplate): Problem[] {
  const selectors = (['podSelector', 'namespaceSelector'] as const).filter((name) => asksForLabels(template[name]))
  const texts: [string, TemplateText][] = [
    ['spiffeId', template.spiffeId],
    ...template.dnsNames.map((text, index): [string, TemplateText] => [`dnsNames.${index}`, text]),
    ['subject.commonName', template.commonName ?? []],
  ]
  return [
    ...selectors.map((name) => ({ path: `spec.${name}`, message: NO_LABELS })),
    ...texts.flatMap(([path, text]) =>
      text
        .filter((part) => typeof part === 'object' && 'label' in part)
        .map((fact) => ({ path: `spec.${path}`, message: `${nameOf(fact)} ${NO_LABELS}` })),
    ),
  ]
}
