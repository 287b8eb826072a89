import { array, assert, constantFrom, pre, property, record, string, tuple } from 'fast-check'
import { expect, test } from 'vitest'
import { checkValue } from '../../core/runtime/config.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import * as cel from './cel-rules.ts'
import { renderNames } from './identity-rendering.ts'
import { type IdentityTemplate, identityTemplateSchema } from './identity-template.ts'

type Place = 'spiffeId' | 'dnsNames' | 'commonName'

const SPECS = {
  spiffeId: (text: string) => ({ spiffeId: `spiffe://{{ trustDomain }}/${text}` }),
  dnsNames: (text: string) => ({ dnsNames: [text] }),
  commonName: (text: string) => ({ subject: { commonName: text } }),
} satisfies Record<Place, (text: string) => object>

const PATHS: Readonly<Record<Place, string>> = {
  spiffeId: 'spec.spiffeId',
  dnsNames: 'spec.dnsNames.0',
  commonName: 'spec.subject.commonName',
}

const check = (place: Place, text: string) =>
  checkValue(
    {
      apiVersion: 'countersign.dev/v1alpha1',
      kind: 'IdentityTemplate',
      metadata: { name: 'x' },
      spec: SPECS[place](text),
    },
    identityTemplateSchema,
  )

/** What the rule of the API server says of a text. Such rules are `matches` with `!` and `||`, which JavaScript has too. */
function acceptedByCel(place: Place, text: string): boolean {
  const { rule } = { spiffeId: cel.ID_APART, dnsNames: cel.DNS_APART, commonName: cel.NAME_APART }[place]
  const whole = place === 'spiffeId' ? SPECS.spiffeId(text).spiffeId : text
  const terms = rule.split(' || ').map((term) => /^!self\.matches\(r'([^']+)'\)$/.exec(term)?.[1])
  return terms.some((expression) => !new RegExp(expression ?? '', 'u').test(whole))
}

const FACTS = [
  ...['namespace', 'serviceAccount', 'podName', 'podUid', 'nodeName', 'podLabels.a', 'podLabels.a.b/c'],
  ...['namespaceLabels.a', 'trustDomain'],
] as const
type Values = Readonly<Record<(typeof FACTS)[number], string>>

test.for<[Place, string]>([
  ['spiffeId', 'ns/{{ namespace }}/sa/{{ serviceAccount }}'],
  ['spiffeId', '{{ namespace }}.{{ serviceAccount }}'],
  ['spiffeId', '{{ serviceAccount }}.{{ namespace }}'],
  ['spiffeId', '{{ serviceAccount }}_{{ podName }}'],
  ['spiffeId', '{{ namespace }}_{{ podLabels.a }}'],
  ['spiffeId', '{{ namespace }}-a.b-{{ serviceAccount }}'],
  ['spiffeId', '{{ podLabels.a }}/{{ namespaceLabels.a }}'],
  ['spiffeId', '{{ trustDomain }}-{{ namespace }}-{{ trustDomain }}'],
  ['dnsNames', '{{ serviceAccount }}.{{ namespace }}.svc'],
  ['dnsNames', '{{ podLabels.a }}-x.{{ trustDomain }}'],
  ['commonName', '{{ serviceAccount }}.{{ namespace }}.svc'],
  ['commonName', '{{ podLabels.a }}@{{ namespace }}'],
  ['commonName', '{{ podLabels.a }} {{ podLabels.b }}'],
])('facts that can be told apart are taken: %s %s', ([place, text]) => {
  expect(check(place, text)).toHaveProperty('value')
  expect(acceptedByCel(place, text)).toBe(true)
})

test.for<[Place, string, string]>([
  ['spiffeId', 'w/{{ namespace }}-{{ serviceAccount }}', 'namespace and serviceAccount'],
  ['spiffeId', '{{ namespace }}{{ serviceAccount }}', 'namespace and serviceAccount'],
  ['spiffeId', '{{ serviceAccount }}.{{ podName }}', 'serviceAccount and podName'],
  ['spiffeId', '{{ namespace }}X{{ podUid }}', 'namespace and podUid'],
  ['spiffeId', '{{ podLabels.a }}_{{ namespaceLabels.a }}', 'podLabels.a and namespaceLabels.a'],
  ['spiffeId', '{{ serviceAccount }}.{{ namespace }}.{{ podName }}', 'serviceAccount and namespace'],
  ['spiffeId', '{{ namespace }}{{ trustDomain }}{{ serviceAccount }}', 'namespace and serviceAccount'],
  ['dnsNames', '{{ namespace }}-{{ serviceAccount }}.svc', 'namespace and serviceAccount'],
  ['dnsNames', 'a.{{ podLabels.a }}x{{ podUid }}', 'podLabels.a and podUid'],
  ['commonName', '{{ namespace }}-{{ serviceAccount }}', 'namespace and serviceAccount'],
  ['commonName', '{{ podLabels.a }}.{{ podLabels.b }}', 'podLabels.a and podLabels.b'],
])('facts that run into each other are refused: %s %s', ([place, text, facts]) => {
  expect(check(place, text)).toEqual({
    problems: [
      { path: PATHS[place], message: expect.stringMatching(`run into each other.*\\(${facts}\\)$`) as unknown },
    ],
  })
  expect(acceptedByCel(place, text)).toBe(false)
})

test('a fact that has its segment to itself may be whatever a segment may be', () => {
  const rendered = (text: string) => {
    const checked = check('spiffeId', text)
    return 'value' in checked && nameBy(checked.value, 'spiffeId', ODD)
  }
  expect(rendered('ns/{{ namespace }}/sa/{{ serviceAccount }}')).toBe('spiffe://a.b/ns/prod.eu/sa/api_server')
  expect(rendered('{{ namespace }}/{{ podName }}_{{ serviceAccount }}')).toBeUndefined()
})

/** Without Kubernetes, facts are what an operator's own issuer says. */
const ODD: Values = {
  ...{ namespace: 'prod.eu', serviceAccount: 'api_server', podName: 'a', podUid: 'b', nodeName: 'c' },
  ...{ 'podLabels.a': 'd', 'podLabels.a.b/c': 'e', 'namespaceLabels.a': 'f' },
  trustDomain: 'a.b',
}

/** Few letters and short values, so that what can coincide does. */
const value = (unit: string) => string({ unit: constantFrom(...unit.split('')), minLength: 1, maxLength: 3 })
const values = record({
  ...{ namespace: value('ab-'), podUid: value('ab-') },
  ...{ serviceAccount: value('ab-.'), podName: value('ab-.'), nodeName: value('ab-.') },
  ...{ 'podLabels.a': value('aB-._'), 'podLabels.a.b/c': value('aB-._'), 'namespaceLabels.a': value('aB-._') },
  trustDomain: constantFrom('a', 'a.b', 'a-b'),
})
const fact = constantFrom(...FACTS).map((name) => `{{ ${name} }}`)
const texts: Readonly<Record<Place, ReturnType<typeof textOf>>> = {
  spiffeId: textOf('ab-._/'),
  dnsNames: textOf('ab-.'),
  commonName: textOf('ab-._ @/'),
}

/** One to three facts, each with something before it, and what comes last. */
function textOf(literals: string) {
  const literal = string({ unit: constantFrom(...literals.split('')), maxLength: 2 })
  const parts = array(tuple(literal, fact), { minLength: 1, maxLength: 3 })
  return tuple(parts, literal).map(([before, last]) => before.flat().join('') + last)
}

const PLACES = ['spiffeId', 'dnsNames', 'commonName'] as const

test.for(PLACES)('no two pods that differ in what a template names get one name by it: %s', (place) => {
  const oneReading = property(texts[place], values, (text, pod) => {
    const checked = check(place, text)
    pre('value' in checked)
    if (!('value' in checked)) return
    const name = nameBy(checked.value, place, pod)
    pre(name !== undefined)
    const parts = (place === 'spiffeId' ? SPECS.spiffeId(text).spiffeId : text).split(/(\{\{ .*? \}\})/)
    const others = new Set<string>()
    for (const reading of readings(parts, name ?? '', { trustDomain: pod.trustDomain })) {
      if (nameBy(checked.value, place, { ...pod, ...reading }) === name) others.add(JSON.stringify(reading))
    }
    expect([...others]).toHaveLength(1)
  })
  assert(oneReading, { numRuns: 1000, maxSkipsPerRun: 1000 })
})

test.for(PLACES)('the broker and the API server agree on which facts can be told apart: %s', (place) => {
  const whole = property(texts[place], (text) => {
    const checked = check(place, text)
    const runsTogether = 'problems' in checked && checked.problems.some(({ message }) => message.includes('run into'))
    pre('value' in checked || runsTogether)
    expect(acceptedByCel(place, text)).toBe(!runsTogether)
  })
  assert(whole, { numRuns: 3000, maxSkipsPerRun: 1000 })
})

/** All values of the facts that a name can be taken apart into, whether or not such values are legal. */
function* readings(parts: readonly string[], name: string, known: Partial<Values>): Generator<Partial<Values>> {
  const [part, ...rest] = parts
  if (part === undefined) {
    if (name === '') yield known
    return
  }
  const fact = FACTS.find((one) => part === `{{ ${one} }}`)
  const written = fact === undefined ? part : known[fact]
  if (written !== undefined) {
    if (name.startsWith(written)) yield* readings(rest, name.slice(written.length), known)
    return
  }
  for (let length = 1; length <= name.length; length += 1) {
    yield* readings(rest, name.slice(length), { ...known, [fact ?? '']: name.slice(0, length) })
  }
}

/** What a template says for a pod, or nothing where it refuses. */
function nameBy(template: IdentityTemplate, place: Place, facts: Values): string | undefined {
  const { trustDomain, ...others } = facts
  const { namespace, serviceAccount, podName, podUid, nodeName } = others
  try {
    const { id, dnsNames, commonName } = renderNames(template, {
      trustDomain: TrustDomain.parse(trustDomain),
      pod: { namespace, serviceAccount, podName, podUid, nodeName },
      podLabels: new Map([
        ['a', others['podLabels.a']],
        ['a.b/c', others['podLabels.a.b/c']],
      ]),
      namespaceLabels: new Map([['a', others['namespaceLabels.a']]]),
    })
    return { spiffeId: String(id), dnsNames: dnsNames[0], commonName }[place]
  } catch (error) {
    if (error instanceof IdentityError) return undefined
    throw error
  }
}
