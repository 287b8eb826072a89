import { expect, test } from 'vitest'
import { codeOf, type IdentityError } from '../../core/runtime/errors.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { attestedPod } from '../../test/fakes/attested.ts'
import { identityTemplateSchema } from './identity-template.ts'
import type { PodFacts } from './pod-facts.ts'
import { Registrations } from './registrations.ts'

const MINUTE_MS = 60_000
const bounds = { minTtlMs: 5 * MINUTE_MS, maxTtlMs: 24 * 60 * MINUTE_MS, defaultTtlMs: 60 * MINUTE_MS }
const signal = new AbortController().signal
const trustDomain = TrustDomain.parse('prod.example')

type Spec = Record<string, unknown>
type Labels = Record<string, string>

/** Registrations by these templates (by name), and how often labels were looked up. */
function registrations(templates: Record<string, Spec>, labels?: { pod?: Labels; namespace?: Labels }) {
  const parsed = Object.entries(templates).map(([name, spec]) =>
    identityTemplateSchema.parse({
      apiVersion: 'countersign.dev/v1alpha1',
      kind: 'IdentityTemplate',
      metadata: { name },
      spec,
    }),
  )
  const asked = { pod: 0, namespace: 0 }
  const podFacts: PodFacts = {
    podLabels: () => {
      asked.pod += 1
      return Promise.resolve(new Map(Object.entries(labels?.pod ?? {})))
    },
    namespaceLabels: () => {
      asked.namespace += 1
      return Promise.resolve(new Map(Object.entries(labels?.namespace ?? {})))
    },
  }
  const dependencies = { templates: { current: () => parsed }, podFacts: labels && podFacts, trustDomain }
  return { of: (pod = attestedPod()) => new Registrations(dependencies, bounds).identityOf(pod, signal), asked }
}

test('without any template the built-in one gives namespace and ServiceAccount', async () => {
  const identity = await registrations({}).of()
  expect(identity).toMatchObject({ dnsNames: [], ttlMs: 60 * MINUTE_MS, keyType: 'ec-p256', template: '(built-in)' })
  expect(String(identity.id)).toBe('spiffe://prod.example/ns/shop/sa/cart')
})

test('renders all that a template says', async () => {
  const { of } = registrations(
    {
      web: {
        spiffeId:
          'spiffe://prod.example/{{ namespaceLabels.team }}/{{ podLabels.app.kubernetes.io/name }}_{{ podName }}/{{ podUid }}/{{ nodeName }}',
        dnsNames: [
          '{{ serviceAccount }}.{{ namespace }}.svc',
          '{{ serviceAccount }}.{{ trustDomain }}',
          'cart.shop.svc',
        ],
        subject: { commonName: 'db {{ serviceAccount }}' },
        ttl: '5m',
        hint: 'web',
      },
    },
    { pod: { 'app.kubernetes.io/name': 'Web_1' }, namespace: { team: 'blue' } },
  )
  const identity = await of()
  expect(String(identity.id)).toBe(
    'spiffe://prod.example/blue/Web_1_cart-0/22222222-2222-4222-8222-222222222222/node-a',
  )
  expect(identity).toMatchObject({
    dnsNames: ['cart.shop.svc', 'cart.prod.example'],
    commonName: 'db cart',
    ttlMs: 5 * MINUTE_MS,
    hint: 'web',
    template: 'web',
  })
})

const ID = 'spiffe://prod.example/x'
test.for([
  { name: 'ServiceAccount of a namespace', spec: { serviceAccounts: ['shop/cart'] }, selected: true },
  { name: 'ServiceAccount of another namespace', spec: { serviceAccounts: ['bank/cart'] }, selected: false },
  { name: 'ServiceAccount anywhere', spec: { serviceAccounts: ['cart'] }, selected: true },
  { name: 'another ServiceAccount', spec: { serviceAccounts: ['till', 'shop/till'] }, selected: false },
  { name: 'labels of the pod', spec: { podSelector: { matchLabels: { app: 'cart' } } }, selected: true },
  { name: 'other labels of the pod', spec: { podSelector: { matchLabels: { app: 'till' } } }, selected: false },
  { name: 'labels of the namespace', spec: { namespaceSelector: { matchLabels: { team: 'blue' } } }, selected: true },
  {
    name: 'other labels of the namespace',
    spec: { namespaceSelector: { matchLabels: { team: 'red' } } },
    selected: false,
  },
  { name: 'empty selectors', spec: { podSelector: {}, namespaceSelector: {} }, selected: true },
  {
    name: 'all but one',
    spec: { serviceAccounts: ['cart'], podSelector: { matchLabels: { app: 'till' } } },
    selected: false,
  },
])('selects by $name: $selected', async ({ spec, selected }) => {
  const { of } = registrations({ x: { spiffeId: ID, ...spec } }, { pod: { app: 'cart' }, namespace: { team: 'blue' } })
  const outcome = await of().then(({ template }) => template, codeOf)
  expect(outcome).toBe(selected ? 'x' : 'template_not_matched')
})

test('labels are looked up only where something asks for them, and once', async () => {
  const none = registrations(
    { a: { serviceAccounts: ['cart'] }, b: { serviceAccounts: ['till'], podSelector: { matchLabels: { a: 'b' } } } },
    {},
  )
  await none.of()
  expect(none.asked).toEqual({ pod: 0, namespace: 0 })
  const both = registrations(
    {
      a: { podSelector: { matchLabels: { a: 'b' } } },
      b: { podSelector: { matchLabels: { a: 'c' } }, spiffeId: 'spiffe://{{ trustDomain }}/{{ podLabels.a }}' },
    },
    { pod: { a: 'c' } },
  )
  expect(String((await both.of()).id)).toBe('spiffe://prod.example/c')
  expect(both.asked).toEqual({ pod: 1, namespace: 0 })
})

test('two templates that match refuse; only the record has their names', async () => {
  const { of } = registrations({ secret1: {}, secret2: {}, other: { serviceAccounts: ['till'] } })
  const refusal = (await of().catch((error: unknown) => error)) as IdentityError
  expect(refusal.code).toBe('template_ambiguous')
  expect(refusal.message).not.toContain('secret')
  expect(refusal.cause).toMatchObject({ message: 'selected by secret1, secret2' })
})

const DNS = { dnsNames: ['{{ serviceAccount }}.{{ namespace }}.svc'] }
test.for([
  {
    name: 'a label that is absent',
    spec: { spiffeId: 'spiffe://{{ trustDomain }}/{{ podLabels.zone }}' },
    code: 'template_unrenderable',
    says: 'podLabels.zone is not known',
  },
  {
    name: 'an empty label',
    spec: { spiffeId: 'spiffe://{{ trustDomain }}/x{{ podLabels.empty }}' },
    code: 'template_unrenderable',
    says: 'podLabels.empty',
  },
  {
    name: 'a value with a slash',
    spec: { spiffeId: 'spiffe://{{ trustDomain }}/{{ podLabels.slash }}' },
    code: 'template_unrenderable',
    says: 'podLabels.slash is not a legal path segment',
  },
  {
    name: 'a value of two dots',
    spec: { spiffeId: 'spiffe://{{ trustDomain }}/a{{ podLabels.dots }}' },
    code: 'template_unrenderable',
    says: 'podLabels.dots',
  },
  {
    name: 'a value with percent',
    spec: { spiffeId: 'spiffe://{{ trustDomain }}/{{ podLabels.percent }}' },
    code: 'template_unrenderable',
    says: 'podLabels.percent',
  },
  {
    name: 'dots of two values',
    spec: { spiffeId: 'spiffe://{{ trustDomain }}/.{{ podLabels.dot }}' },
    code: 'template_unrenderable',
    says: 'podLabels.dot',
  },
  {
    name: 'a value that Kubernetes would not allow',
    spec: { spiffeId: 'spiffe://{{ trustDomain }}/{{ namespace }}.{{ serviceAccount }}' },
    pod: { namespace: 'shop.prod' },
    code: 'template_unrenderable',
    says: 'namespace is not what Kubernetes allows',
  },
  {
    name: 'another trust domain',
    spec: { spiffeId: 'spiffe://partner.example/x' },
    code: 'template_unrenderable',
    says: 'the trust domain partner.example, which is another',
  },
  {
    name: 'a reserved ID by a fact',
    spec: { spiffeId: 'spiffe://{{ trustDomain }}/{{ podLabels.reserved }}/agent/node-a' },
    code: 'spiffe_id_reserved',
    says: '/countersign/',
  },
  {
    name: 'an ID over 2048 bytes',
    spec: { spiffeId: `spiffe://{{ trustDomain }}/${'a'.repeat(2000)}/{{ podUid }}` },
    code: 'template_unrenderable',
    says: '2048',
  },
  { name: 'a ttl below the bounds', spec: { ttl: '4m' }, code: 'ttl_out_of_bounds', says: '4m' },
  { name: 'a ttl above the bounds', spec: { ttl: '25h' }, code: 'ttl_out_of_bounds', says: '1d' },
  {
    name: 'a DNS name with a dot in a value',
    spec: DNS,
    pod: { serviceAccount: 'db.prod' },
    code: 'template_unrenderable',
    says: 'serviceAccount is not a single DNS label',
  },
  {
    name: 'a DNS name with an underscore',
    spec: { dnsNames: ['{{ podLabels.under }}.x'] },
    code: 'template_unrenderable',
    says: 'DNS label',
  },
  {
    name: 'a DNS label over 63 bytes',
    spec: { dnsNames: [`${'a'.repeat(60)}-{{ serviceAccount }}`] },
    code: 'template_unrenderable',
    says: 'not a DNS name',
  },
  {
    name: 'a DNS name over 253 bytes',
    spec: { dnsNames: [`${'abc.'.repeat(62)}{{ serviceAccount }}`] },
    pod: { serviceAccount: 'till-one' },
    code: 'template_unrenderable',
    says: 'not a DNS name',
  },
  {
    name: 'a common name over 64 characters',
    spec: { subject: { commonName: `${'a'.repeat(61)}{{ serviceAccount }}` } },
    code: 'template_unrenderable',
    says: 'commonName',
  },
  {
    name: 'a common name with a line break',
    spec: { subject: { commonName: 'a\nb' } },
    code: 'template_unrenderable',
    says: 'commonName',
  },
] satisfies { name: string; spec: Spec; pod?: object; code: string; says: string }[])(
  'refuses $name',
  async ({ spec, pod, code, says }) => {
    const podLabels = {
      empty: '',
      slash: 'a/b',
      dots: '..',
      dot: '.',
      percent: '%2e',
      reserved: 'countersign',
      under: 'a_b',
    }
    const { of } = registrations({ x: spec }, { pod: podLabels })
    await expect(of(attestedPod(pod ?? {}))).rejects.toMatchObject({ code, message: expect.stringContaining(says) })
  },
)

test('where nobody knows labels, a template that asks for them refuses', async () => {
  const selecting = registrations({ a: { podSelector: { matchLabels: { a: 'b' } } }, b: {} })
  await expect(selecting.of()).rejects.toMatchObject({
    code: 'template_unrenderable',
    message: expect.stringContaining('labels'),
  })
})
