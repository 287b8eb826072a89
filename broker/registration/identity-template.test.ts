import { expect, test } from 'vitest'
import { checkDocument } from '../../core/runtime/config.ts'
import { identityTemplateSchema } from './identity-template.ts'

/** A template with this specification, as YAML (of which JSON is a part). */
const document = (spec: unknown, changes: object = {}) =>
  JSON.stringify({
    apiVersion: 'countersign.dev/v1alpha1',
    kind: 'IdentityTemplate',
    metadata: { name: 'web' },
    spec,
    ...changes,
  })
const check = (text: string) => checkDocument(text, identityTemplateSchema)

test('reads all that design §4 lists', () => {
  const text = `
apiVersion: countersign.dev/v1alpha1
kind: IdentityTemplate
metadata: { name: web }
spec:
  podSelector: { matchLabels: { app: web } }
  namespaceSelector: { matchExpressions: [{ key: team, operator: Exists }] }
  serviceAccounts: [shop/cart, till]
  spiffeId: "spiffe://{{ trustDomain }}/ns/{{ namespace }}/sa/{{ serviceAccount }}"
  dnsNames: ["{{ serviceAccount }}.{{ namespace }}.svc"]
  ttl: 30m
  keyType: rsa-3072
  subject: { commonName: "{{ serviceAccount }}" }
  hint: web
  federatesWith: []
`
  expect(check(text)).toMatchObject({
    value: {
      name: 'web',
      serviceAccounts: ['shop/cart', 'till'],
      ttlMs: 1_800_000,
      keyType: 'rsa-3072',
      hint: 'web',
      commonName: [{ kind: 'serviceAccount' }],
    },
  })
})

test('what is left out has its default', () => {
  expect(check(document({}))).toMatchObject({
    value: { ttlMs: undefined, keyType: 'ec-p256', dnsNames: [], hint: '', commonName: undefined },
  })
})

test.for([
  { name: 'an unknown key', spec: { ttls: '5m' }, path: 'spec', says: 'ttls' },
  {
    name: 'another version',
    spec: {},
    changes: { apiVersion: 'countersign.dev/v1' },
    path: 'apiVersion',
    says: 'v1alpha1',
  },
  { name: 'another kind', spec: {}, changes: { kind: 'PeerPolicy' }, path: 'kind', says: 'IdentityTemplate' },
  { name: 'a bad name', spec: {}, changes: { metadata: { name: 'A b' } }, path: 'metadata.name', says: 'RFC 1123' },
  { name: 'a key type that is not issued', spec: { keyType: 'ed25519' }, path: 'spec.keyType', says: 'ec-p256' },
  { name: 'a ttl without unit', spec: { ttl: '30' }, path: 'spec.ttl', says: 'duration' },
  { name: 'an empty list of ServiceAccounts', spec: { serviceAccounts: [] }, path: 'spec.serviceAccounts', says: '1' },
  {
    name: 'a ServiceAccount of three parts',
    spec: { serviceAccounts: ['a/b/c'] },
    path: 'spec.serviceAccounts.0',
    says: 'namespace/name',
  },
  {
    name: 'an unknown fact',
    spec: { spiffeId: 'spiffe://{{ trustDomain }}/{{ image }}' },
    path: 'spec.spiffeId',
    says: "unknown fact 'image'",
  },
  { name: 'no path', spec: { spiffeId: 'spiffe://{{ trustDomain }}' }, path: 'spec.spiffeId', says: 'no path' },
  {
    name: 'a path that ends with a slash',
    spec: { spiffeId: 'spiffe://{{ trustDomain }}/a/' },
    path: 'spec.spiffeId',
    says: 'slash',
  },
  {
    name: 'dots as a segment',
    spec: { spiffeId: 'spiffe://{{ trustDomain }}/../a' },
    path: 'spec.spiffeId',
    says: '..',
  },
  {
    name: 'another scheme',
    spec: { spiffeId: 'https://{{ trustDomain }}/a' },
    path: 'spec.spiffeId',
    says: 'spiffe://',
  },
  {
    name: 'a fact of the pod as trust domain',
    spec: { spiffeId: 'spiffe://{{ namespace }}/a' },
    path: 'spec.spiffeId',
    says: 'trust domain',
  },
  {
    name: 'a fact beside the trust domain',
    spec: { spiffeId: 'spiffe://{{ trustDomain }}{{ namespace }}/a' },
    path: 'spec.spiffeId',
    says: 'trust domain',
  },
  {
    name: 'a text beside the trust domain',
    spec: { spiffeId: 'spiffe://x{{ trustDomain }}/a' },
    path: 'spec.spiffeId',
    says: 'mixes {{ trustDomain }}',
  },
  {
    name: 'a reserved ID',
    spec: { spiffeId: 'spiffe://{{ trustDomain }}/countersign/broker' },
    path: 'spec.spiffeId',
    says: 'reserved',
  },
  {
    name: 'a single brace',
    spec: { subject: { commonName: 'a{b' } },
    path: 'spec.subject.commonName',
    says: 'braces that do not pair',
  },
  { name: 'a DNS name with a space', spec: { dnsNames: ['a', 'bad name'] }, path: 'spec.dnsNames.1', says: 'DNS name' },
  { name: 'a DNS name with an empty label', spec: { dnsNames: ['a..b'] }, path: 'spec.dnsNames.0', says: 'DNS name' },
  {
    name: 'a DNS name over 253 bytes',
    spec: { dnsNames: [Array(64).fill('abc').join('.')] },
    path: 'spec.dnsNames.0',
    says: 'DNS name',
  },
  { name: 'a wildcard', spec: { dnsNames: ['*.{{ namespace }}.svc'] }, path: 'spec.dnsNames.0', says: 'DNS name' },
  { name: 'a hint over 1024 bytes', spec: { hint: 'ü'.repeat(513) }, path: 'spec.hint', says: '1024' },
  {
    name: 'federation, which would be believed to be served',
    spec: { federatesWith: ['partner.example'] },
    path: 'spec.federatesWith',
    says: 'not served yet',
  },
])('refuses $name', ({ spec, changes, path, says }) => {
  expect(check(document(spec, changes))).toMatchObject({
    problems: [{ path, message: expect.stringContaining(says) }],
  })
})
