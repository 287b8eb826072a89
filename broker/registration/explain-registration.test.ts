import { expect, test } from 'vitest'
import { codeOf } from '../../core/runtime/errors.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { attestedPod } from '../../test/fakes/attested.ts'
import { explainRegistration } from './explain-registration.ts'
import { type IdentityTemplate, identityTemplateSchema } from './identity-template.ts'
import { Registrations } from './registrations.ts'

const bounds = { minTtlMs: 300_000, maxTtlMs: 86_400_000, defaultTtlMs: 3_600_000 }
const trustDomain = TrustDomain.parse('prod.example')
const facts = {
  pod: attestedPod(),
  podLabels: new Map([['app', 'cart']]),
  namespaceLabels: new Map([['team', 'blue']]),
  trustDomain,
}

function template(name: string, spec: object, unusable?: string): IdentityTemplate {
  const head = { apiVersion: 'countersign.dev/v1alpha1', kind: 'IdentityTemplate', metadata: { name } }
  const parsed = identityTemplateSchema.parse({ ...head, spec })
  return unusable === undefined ? parsed : { ...parsed, unusable }
}

test.for([
  { spec: {}, selects: true, reason: 'it has no selectors, and so selects every pod' },
  { spec: { serviceAccounts: ['shop/cart'] }, selects: true, reason: 'spec.serviceAccounts hold' },
  {
    spec: { serviceAccounts: ['till'] },
    selects: false,
    reason: 'spec.serviceAccounts has neither shop/cart nor cart',
  },
  {
    spec: { namespaceSelector: { matchLabels: { team: 'red' } } },
    selects: false,
    reason: 'spec.namespaceSelector does not hold for the labels of namespace shop',
  },
  {
    spec: { podSelector: { matchLabels: { app: 'till' } } },
    selects: false,
    reason: "spec.podSelector does not hold for the pod's labels",
  },
])('says why a template selects or not: $reason', ({ spec, selects, reason }) => {
  const { verdicts, identity, refusal, reasons } = explainRegistration([template('web', spec)], facts, bounds)
  expect(verdicts).toEqual([{ template: 'web', selects, reason }])
  expect(reasons).toEqual([`web ${selects ? 'selects' : 'does not select'} it: ${reason}.`])
  if (selects) expect(String(identity?.id)).toBe('spiffe://prod.example/ns/shop/sa/cart')
  else expect(codeOf(refusal)).toBe('template_not_matched')
})

test.for([
  { name: 'two that select', templates: [template('a', {}), template('b', {})], code: 'template_ambiguous' },
  {
    name: 'an invalid one and a good one: the invalid one keeps its claim',
    templates: [template('a', {}, 'spec.ttl: is short'), template('b', {})],
    code: 'template_ambiguous',
  },
  { name: 'an invalid one alone', templates: [template('a', {}, 'spec.ttl: is short')], code: 'object_invalid' },
  {
    name: 'a ttl that is too short',
    templates: [template('a', { spiffeId: 'spiffe://{{ trustDomain }}/{{ podLabels.app }}', ttl: '1m' })],
    code: 'ttl_out_of_bounds',
  },
])('refuses for $name', ({ templates, code }) => {
  expect(codeOf(explainRegistration(templates, facts, bounds).refusal)).toBe(code)
})

test('labels that nobody knows are told of, and nothing is guessed from them', () => {
  const templates = [template('web', { podSelector: { matchExpressions: [{ key: 'x', operator: 'DoesNotExist' }] } })]
  const { verdicts } = explainRegistration(templates, { ...facts, podLabels: undefined }, bounds)
  expect(verdicts).toEqual([{ template: 'web', selects: false, reason: 'the labels that it selects by are not known' }])
})

test('of ten thousand templates, those that select and a few of the others are told of', () => {
  const others = Array.from({ length: 9_999 }, (_, index) => template(`t${index}`, { serviceAccounts: [`a${index}`] }))
  const { reasons } = explainRegistration([...others, template('mine', {})], facts, bounds)
  expect(reasons).toHaveLength(22)
  expect(reasons[0]).toBe('mine selects it: it has no selectors, and so selects every pod.')
  expect(reasons.at(-1)).toBe('9979 more do not select it.')
})

test('explains what issuance would do, and what keeps it from finding out', async () => {
  const signal = new AbortController().signal
  const templates = [template('web', { podSelector: { matchLabels: { app: 'cart' } } })]
  const source = { current: () => templates }
  const known = new Registrations(
    {
      templates: source,
      trustDomain,
      podFacts: {
        podLabels: () => Promise.resolve(facts.podLabels),
        namespaceLabels: () => Promise.resolve(facts.namespaceLabels),
      },
    },
    bounds,
  )
  const explained = await known.explain(facts.pod, signal)
  expect(explained.identity).toEqual(await known.identityOf(facts.pod, signal))
  const unknown = new Registrations({ templates: source, trustDomain, podFacts: undefined }, bounds)
  expect(codeOf((await unknown.explain(facts.pod, signal)).refusal)).toBe('template_unrenderable')
})
