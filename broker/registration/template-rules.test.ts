import { expect, test } from 'vitest'
import { identityTemplateSchema } from './identity-template.ts'
import { problemsOf } from './template-rules.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'

const RULES = {
  trustDomain: TrustDomain.parse('prod.example'),
  minTtlMs: 300_000,
  maxTtlMs: 86_400_000,
  knowsLabels: false,
}
const template = (spec: object) =>
  identityTemplateSchema.parse({
    apiVersion: 'countersign.dev/v1alpha1',
    kind: 'IdentityTemplate',
    metadata: { name: 'web' },
    spec,
  })
const labels = { matchLabels: { app: 'web' } }

test.for([
  {
    name: 'another trust domain',
    spec: { spiffeId: 'spiffe://other.example/ns/{{ namespace }}' },
    path: 'spec.spiffeId',
    says: 'is of the trust domain other.example, and this broker is of prod.example',
  },
  { name: 'a ttl that is too short', spec: { ttl: '4m59s' }, path: 'spec.ttl', says: '4m59s is not within' },
  { name: 'a ttl that is too long', spec: { ttl: '25h' }, path: 'spec.ttl', says: 'issuance.maxTtl 1d' },
  { name: 'a podSelector', spec: { podSelector: labels }, path: 'spec.podSelector', says: 'kubernetes' },
  { name: 'a namespaceSelector', spec: { namespaceSelector: labels }, path: 'spec.namespaceSelector', says: 'labels' },
  {
    name: 'a label in the ID',
    spec: { spiffeId: 'spiffe://{{ trustDomain }}/{{ podLabels.app }}' },
    path: 'spec.spiffeId',
    says: 'podLabels.app needs labels',
  },
  {
    name: 'a label in a DNS name',
    spec: { dnsNames: ['a', '{{ namespaceLabels.team }}'] },
    path: 'spec.dnsNames.1',
    says: 'namespaceLabels.team needs labels',
  },
])('tells of $name', ({ spec, path, says }) => {
  expect(problemsOf(template(spec), RULES)).toEqual([{ path, message: expect.stringContaining(says) }])
})

test.for([
  { name: 'its own trust domain', spec: { spiffeId: 'spiffe://prod.example/ns/{{ namespace }}' }, rules: RULES },
  { name: 'the shortest ttl', spec: { ttl: '5m' }, rules: RULES },
  { name: 'the longest ttl', spec: { ttl: '24h' }, rules: RULES },
  { name: 'selectors that ask for nothing', spec: { podSelector: {}, namespaceSelector: {} }, rules: RULES },
  { name: 'labels where they are known', spec: { podSelector: labels }, rules: { ...RULES, knowsLabels: true } },
])('takes $name', ({ spec, rules }) => {
  expect(problemsOf(template(spec), rules)).toEqual([])
})
