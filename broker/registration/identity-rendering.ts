import { IdentityError } from '../../core/runtime/errors.ts'
import { SpiffeId } from '../../core/spiffe/spiffe-id.ts'
import type { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { DNS_LABEL, isDnsName } from './dns-name.ts'
import { factsThatTouch, isValueOf } from './fact-boundaries.ts'
import type { IdentityTemplate } from './identity-template.ts'
import type { Labels, PodDescription } from './pod-facts.ts'
import { type Fact, nameOf, type TemplateText } from './template-text.ts'

/** All that can be put in for a placeholder. Nothing of it comes from a request. */
export interface RenderingFacts {
  readonly trustDomain: TrustDomain
  readonly pod: PodDescription
  /** Known only where the template needs them, see {@link needsLabels}. */
  readonly podLabels: Labels | undefined
  readonly namespaceLabels: Labels | undefined
}

/** The names that a certificate will carry. */
export interface RenderedNames {
  readonly id: SpiffeId
  readonly dnsNames: readonly string[]
  readonly commonName: string | undefined
}

/** SPIFFE-ID §2.2, without `.` and `..`. */
const PATH_SEGMENT = /^(?!\.{1,2}$)[\w.-]+$/
/** RFC 5280 appendix A.1, ub-common-name; printable ASCII, so that all readers see the same. */
const COMMON_NAME = /^[ -~]{1,64}$/

/**
 * What `template` says for a pod. A value that is not legal where it stands refuses; it is never escaped, cut or folded.
 *
 * @throws {@link IdentityError} `template_unrenderable`, which names the fact; `spiffe_id_reserved`.
 */
export function renderNames(template: IdentityTemplate, facts: RenderingFacts): RenderedNames {
  const { spiffeId, dnsNames, commonName } = template
  return {
    id: renderSpiffeId(spiffeId, facts),
    dnsNames: [...new Set(dnsNames.map((text) => renderDnsName(text, facts)))],
    commonName: commonName && renderCommonName(commonName, facts),
  }
}

/** Which labels the template's texts ask for. */
export function needsLabels({ spiffeId, dnsNames, commonName = [] }: IdentityTemplate): {
  readonly pod: boolean
  readonly namespace: boolean
} {
  const kinds = new Set(
    [...spiffeId, ...dnsNames.flat(), ...commonName].map((part) => typeof part === 'object' && part.kind),
  )
  return { pod: kinds.has('podLabels'), namespace: kinds.has('namespaceLabels') }
}

function renderSpiffeId(text: TemplateText, facts: RenderingFacts): SpiffeId {
  const rendered = render(text, facts, PATH_SEGMENT, 'a legal path segment')
  const id = parseRendered(rendered)
  if (!id.isMemberOf(facts.trustDomain))
    unrenderable(`spiffeId is in the trust domain ${id.trustDomain}, which is another than the broker's`)
  if (id.isReserved) {
    throw new IdentityError(
      'spiffe_id_reserved',
      'the template renders to an ID below /countersign/, which is reserved',
    )
  }
  return id
}

function parseRendered(text: string): SpiffeId {
  try {
    return SpiffeId.parse(text)
  } catch (error) {
    if (!(error instanceof IdentityError)) throw error
    throw new IdentityError('template_unrenderable', `spiffeId renders to what is ${error.message}`, { cause: error })
  }
}

/** A value takes the place of one label: with dots in it, it could spell the name of another service. */
function renderDnsName(text: TemplateText, facts: RenderingFacts): string {
  const name = render(text, facts, DNS_LABEL, 'a single DNS label')
  return isDnsName(name) ? name : unrenderable('dnsNames renders to what is not a DNS name')
}

function renderCommonName(text: TemplateText, facts: RenderingFacts): string {
  const name = render(text, facts, PATH_SEGMENT, 'legal in a common name')
  return COMMON_NAME.test(name) ? name : unrenderable('commonName renders to more than 64 printable characters')
}

function render(text: TemplateText, facts: RenderingFacts, legal: RegExp, what: string): string {
  const touching = factsThatTouch(text)
  return text
    .map((part) => {
      if (typeof part === 'string') return part
      const value = valueOf(part, facts)
      if (value === undefined) return unrenderable(`${nameOf(part)} is not known of this pod`)
      // The broker's own configuration, not a fact that a pod can choose.
      if (part.kind === 'trustDomain') return value
      if (!legal.test(value)) return unrenderable(`the value of ${nameOf(part)} is not ${what}`)
      // By what values are made of, templates are taken as such that no two pods get one name by.
      return isValueOf(part.kind, value) || !touching.has(part)
        ? value
        : unrenderable(`the value of ${nameOf(part)} is not what Kubernetes allows`)
    })
    .join('')
}

function valueOf(fact: Fact, { trustDomain, pod, podLabels, namespaceLabels }: RenderingFacts): string | undefined {
  switch (fact.kind) {
    case 'trustDomain':
      return trustDomain.toString()
    case 'podLabels':
      return podLabels?.get(fact.label)
    case 'namespaceLabels':
      return namespaceLabels?.get(fact.label)
    case 'namespace':
    case 'serviceAccount':
    case 'podName':
    case 'podUid':
    case 'nodeName':
      return pod[fact.kind]
  }
}

function unrenderable(why: string): never {
  throw new IdentityError('template_unrenderable', `the template cannot be filled: ${why}`)
}
