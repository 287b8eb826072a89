/** Specifications that are taken. */
export const GOOD: Readonly<Record<string, object>> = {
  'nothing at all': {},
  'the default ID, written out': { spiffeId: 'spiffe://{{ trustDomain }}/ns/{{ namespace }}/sa/{{ serviceAccount }}' },
  'every fact in the ID': {
    spiffeId:
      'spiffe://{{ trustDomain }}/{{ namespace }}/{{ serviceAccount }}/{{ podName }}/{{ podUid }}/{{ nodeName }}/{{ podLabels.app }}/{{ namespaceLabels.team }}',
  },
  'no blanks in the braces': { spiffeId: 'spiffe://{{trustDomain}}/{{namespace}}' },
  'many blanks in the braces': { spiffeId: 'spiffe://{{   trustDomain }}/{{ namespace   }}' },
  'a trust domain that is written out': { spiffeId: 'spiffe://prod.example/web' },
  'a label with a prefix': { spiffeId: 'spiffe://{{ trustDomain }}/{{ podLabels.app.kubernetes.io/name }}' },
  'a fact beside text in one segment': { spiffeId: 'spiffe://{{ trustDomain }}/web-{{ namespace }}.v1' },
  'two facts in one segment that can be told apart from the left': {
    spiffeId: 'spiffe://{{ trustDomain }}/{{ namespace }}.{{ serviceAccount }}',
  },
  'two facts in one segment that can be told apart from the right': {
    spiffeId: 'spiffe://{{ trustDomain }}/{{ podLabels.app.kubernetes.io/name }}_{{ podName }}',
  },
  'the trust domain beside a fact': { spiffeId: 'spiffe://{{ trustDomain }}/{{ trustDomain }}-{{ namespace }}' },
  'capitals in the path': { spiffeId: 'spiffe://{{ trustDomain }}/Web_1' },
  'three dots as a segment': { spiffeId: 'spiffe://{{ trustDomain }}/...' },
  'a segment that only begins as ours': { spiffeId: 'spiffe://{{ trustDomain }}/countersigned/x' },
  'our name further down': { spiffeId: 'spiffe://{{ trustDomain }}/a/countersign' },
  'selectors of every kind': {
    podSelector: { matchLabels: { app: 'web' } },
    namespaceSelector: { matchExpressions: [{ key: 'team', operator: 'In', values: ['blue', 'red'] }] },
    serviceAccounts: ['shop/cart', 'till'],
  },
  'empty selectors': { podSelector: {}, namespaceSelector: {} },
  'every operator': {
    podSelector: {
      matchExpressions: [
        { key: 'a', operator: 'In', values: ['x'] },
        { key: 'b', operator: 'NotIn', values: ['x'] },
        { key: 'c', operator: 'Exists' },
        { key: 'd', operator: 'DoesNotExist' },
      ],
    },
  },
  'Exists with an empty list': { podSelector: { matchExpressions: [{ key: 'a', operator: 'Exists', values: [] }] } },
  'two thousand ServiceAccounts': { serviceAccounts: Array.from({ length: 2000 }, (_, index) => `team-${index}/app`) },
  'a ServiceAccount with dots': { serviceAccounts: ['shop/cart.v1'] },
  'DNS names': {
    dnsNames: ['{{ serviceAccount }}.{{ namespace }}.svc', 'cart.example.org', '{{ podLabels.app }}-x.svc'],
  },
  'a DNS name of one label': { dnsNames: ['cart'] },
  '32 DNS names': { dnsNames: Array.from({ length: 32 }, (_, index) => `n${index}.example.org`) },
  'a ttl in minutes': { ttl: '30m' },
  'a ttl of two units': { ttl: '1h30m' },
  'a ttl of a day': { ttl: '1d' },
  'P-384': { keyType: 'ec-p384' },
  'RSA 2048': { keyType: 'rsa-2048' },
  'RSA 3072': { keyType: 'rsa-3072' },
  'a common name': { subject: { commonName: '{{ serviceAccount }}' } },
  'a common name of two facts': { subject: { commonName: '{{ serviceAccount }}.{{ namespace }}.svc' } },
  'a common name with labels': { subject: { commonName: '{{ podLabels.app }}@{{ namespaceLabels.team }}' } },
  'a common name with blanks': { subject: { commonName: 'db {{ serviceAccount }}' } },
  'a hint': { hint: 'for the database' },
  'a hint of 1024 bytes': { hint: 'ü'.repeat(512) },
  'an empty list of trust domains': { federatesWith: [] },
}

/** What the API server says of a rule that is broken; docs/objects/identity-template.md promises these. */
const FACTS =
  'names an unknown fact, or has braces that do not pair; there are trustDomain, namespace, serviceAccount, podName, podUid, nodeName, podLabels.<name>, namespaceLabels.<name>'
const ID =
  'must be spiffe://{{ trustDomain }}/ or spiffe://<trust domain>/ and a path of letters, digits, dots, hyphens, underscores and facts'
const DOTS = "has '.' or '..' as a path segment"
const RESERVED = 'is below /countersign/, which is reserved'
const ID_APART = 'has facts that run into each other, so that two pods could get the same ID: put a / between them'
const DNS_APART = 'has facts that run into each other, so that two pods could get the same name: put a dot between them'
const NAME_APART =
  'has facts that run into each other, so that two pods could get the same name: put a character between them that neither value can hold, such as @'
const DNS = 'is not a DNS name (lower-case letters, digits and hyphens between dots)'
const ACCOUNT = 'must be name or namespace/name'
const DURATION = 'is not a duration; write for example 90s, 30m or 1h30m'
const VALUES = 'In and NotIn need values, Exists and DoesNotExist have none'
export const PROMISED = [
  FACTS,
  ID,
  DOTS,
  RESERVED,
  ID_APART,
  DNS,
  DNS_APART,
  NAME_APART,
  ACCOUNT,
  DURATION,
  VALUES,
  'is longer than 1024 bytes',
  'federation is not served yet',
]

export interface BadCase {
  readonly name: string
  readonly spec: unknown
  /** What the answer says. */
  readonly says: string
  /** Where the field is, as the answer names it. */
  readonly field: string
}

const selector = (expression: object) => ({ podSelector: { matchExpressions: [expression] } })
const spiffeId = (name: string, value: string, says: string): BadCase => ({
  name: `an ID with ${name}`,
  spec: { spiffeId: value },
  says,
  field: 'spec.spiffeId',
})
const dnsName = (name: string, value: string, says = DNS): BadCase => ({
  name: `a DNS name with ${name}`,
  spec: { dnsNames: [value] },
  says,
  field: 'spec.dnsNames[0]',
})
const account = (name: string, value: string): BadCase => ({
  name: `a ServiceAccount ${name}`,
  spec: { serviceAccounts: [value] },
  says: ACCOUNT,
  field: 'spec.serviceAccounts[0]',
})
const ttl = (value: string): BadCase => ({
  name: `a ttl '${value}'`,
  spec: { ttl: value },
  says: DURATION,
  field: 'spec.ttl',
})

/** Specifications that are refused. */
export const BAD: readonly BadCase[] = [
  spiffeId('an unknown fact', 'spiffe://{{ trustDomain }}/{{ image }}', FACTS),
  spiffeId('an expression', 'spiffe://{{ trustDomain }}/{{ namespace | upper }}', FACTS),
  spiffeId('labels without a name', 'spiffe://{{ trustDomain }}/{{ podLabels }}', FACTS),
  spiffeId('a label that Kubernetes has not', 'spiffe://{{ trustDomain }}/{{ podLabels.-a }}', FACTS),
  spiffeId('braces that do not close', 'spiffe://{{ trustDomain }}/{{ namespace', FACTS),
  spiffeId('braces that do not open', 'spiffe://{{ trustDomain }}/namespace }}', FACTS),
  spiffeId('one brace', 'spiffe://{{ trustDomain }}/{namespace}', FACTS),
  spiffeId('three braces', 'spiffe://{{ trustDomain }}/{{{ namespace }}}', FACTS),
  spiffeId('no path', 'spiffe://{{ trustDomain }}', ID),
  spiffeId('an empty path', 'spiffe://{{ trustDomain }}/', ID),
  spiffeId('a slash at its end', 'spiffe://{{ trustDomain }}/a/', ID),
  spiffeId('an empty segment', 'spiffe://{{ trustDomain }}/a//b', ID),
  spiffeId('another scheme', 'https://{{ trustDomain }}/a', ID),
  spiffeId('no scheme', '{{ trustDomain }}/a', ID),
  spiffeId('a scheme in capitals', 'SPIFFE://{{ trustDomain }}/a', ID),
  spiffeId('a fact of the pod as trust domain', 'spiffe://{{ namespace }}/a', ID),
  spiffeId('text before the trust domain', 'spiffe://x{{ trustDomain }}/a', ID),
  spiffeId('text after the trust domain', 'spiffe://{{ trustDomain }}x/a', ID),
  spiffeId('a port', 'spiffe://prod.example:8443/a', ID),
  spiffeId('capitals in the trust domain', 'spiffe://Prod.example/a', ID),
  spiffeId('a blank', 'spiffe://{{ trustDomain }}/a b', ID),
  spiffeId('a percent sign', 'spiffe://{{ trustDomain }}/a%20b', ID),
  spiffeId('a query', 'spiffe://{{ trustDomain }}/a?b', ID),
  spiffeId('a fragment', 'spiffe://{{ trustDomain }}/a#b', ID),
  spiffeId('letters of other alphabets', 'spiffe://{{ trustDomain }}/ü', ID),
  spiffeId('a line break', 'spiffe://{{ trustDomain }}/a\n', ID),
  spiffeId('a dot as a segment', 'spiffe://{{ trustDomain }}/./a', DOTS),
  spiffeId('two dots as a segment', 'spiffe://{{ trustDomain }}/../a', DOTS),
  spiffeId('two dots at its end', 'spiffe://{{ trustDomain }}/a/..', DOTS),
  spiffeId("the broker's path", 'spiffe://{{ trustDomain }}/countersign/broker', RESERVED),
  spiffeId("an agent's path", 'spiffe://{{ trustDomain }}/countersign/agent/{{ nodeName }}', RESERVED),
  spiffeId('our path and no more', 'spiffe://{{ trustDomain }}/countersign', RESERVED),
  spiffeId('our path in a trust domain that is written out', 'spiffe://prod.example/countersign/x', RESERVED),
  spiffeId('facts that a hyphen parts', 'spiffe://{{ trustDomain }}/w/{{ namespace }}-{{ serviceAccount }}', ID_APART),
  spiffeId('facts that nothing parts', 'spiffe://{{ trustDomain }}/{{namespace}}{{podUid}}', ID_APART),
  spiffeId('names that a dot parts', 'spiffe://{{ trustDomain }}/{{ serviceAccount }}.{{ podName }}', ID_APART),
  spiffeId(
    'labels in one segment',
    'spiffe://{{ trustDomain }}/{{ podLabels.a.example/b }}_{{ namespaceLabels.c }}',
    ID_APART,
  ),
  spiffeId(
    'facts that only the trust domain parts',
    'spiffe://{{ trustDomain }}/{{ namespace }}{{ trustDomain }}{{ serviceAccount }}',
    ID_APART,
  ),
  { ...spiffeId('nothing', '', 'should be at least 1 chars long'), field: 'spec.spiffeId' },
  spiffeId('4097 characters', `spiffe://{{ trustDomain }}/${'a'.repeat(4100)}`, 'may not be more than 4096'),
  dnsName('a blank', 'a b'),
  dnsName('capitals', 'Cart.svc'),
  dnsName('an underscore', 'a_b'),
  dnsName('an empty label', 'a..b'),
  dnsName('a dot at its end', 'a.'),
  dnsName('a hyphen at the beginning', '-a.svc'),
  dnsName('a hyphen before a dot', 'a-.svc'),
  dnsName('a wildcard', '*.svc'),
  dnsName('an address', 'a:443'),
  dnsName('an unknown fact', '{{ image }}.svc', FACTS),
  dnsName('two facts in one label', '{{ namespace }}-{{ serviceAccount }}.svc', DNS_APART),
  {
    name: '33 DNS names',
    spec: { dnsNames: Array.from({ length: 33 }, (_, index) => `n${index}`) },
    says: 'must have at most 32 items',
    field: 'spec.dnsNames',
  },
  { name: 'a DNS name twice', spec: { dnsNames: ['a', 'a'] }, says: 'Duplicate value: "a"', field: 'spec.dnsNames[1]' },
  account('of three parts', 'a/b/c'),
  account('in capitals', 'shop/Cart'),
  account('with an empty namespace', '/cart'),
  account('without its name', 'shop/'),
  account('that is a pattern', 'shop/*'),
  account('that is a user name', 'system:serviceaccount:shop:cart'),
  {
    name: 'no ServiceAccount in a list',
    spec: { serviceAccounts: [] },
    says: 'should have at least 1 items',
    field: 'spec.serviceAccounts',
  },
  {
    name: 'a ServiceAccount twice',
    spec: { serviceAccounts: ['cart', 'cart'] },
    says: 'Duplicate value: "cart"',
    field: 'spec.serviceAccounts[1]',
  },
  ttl('30'),
  ttl('half an hour'),
  ttl('1w'),
  ttl('-5m'),
  ttl('1.5h'),
  ttl('5 m'),
  { name: 'a ttl as a number', spec: { ttl: 300 }, says: 'must be of type string', field: 'spec.ttl' },
  {
    name: 'a key type that is not issued',
    spec: { keyType: 'ed25519' },
    says: 'supported values: "ec-p256"',
    field: 'spec.keyType',
  },
  {
    name: 'a common name with an unknown fact',
    spec: { subject: { commonName: '{{ user }}' } },
    says: FACTS,
    field: 'spec.subject.commonName',
  },
  {
    name: 'a common name whose facts run into each other',
    spec: { subject: { commonName: '{{ namespace }}-{{ serviceAccount }}' } },
    says: NAME_APART,
    field: 'spec.subject.commonName',
  },
  {
    name: 'a subject without a common name',
    spec: { subject: {} },
    says: 'Required value',
    field: 'spec.subject.commonName',
  },
  {
    name: 'a hint of more bytes than characters',
    spec: { hint: 'ü'.repeat(600) },
    says: 'is longer than 1024 bytes',
    field: 'spec.hint',
  },
  {
    name: 'a trust domain to federate with',
    spec: { federatesWith: ['partner.example'] },
    says: 'federation is not served yet',
    field: 'spec.federatesWith',
  },
  {
    name: 'In without values',
    spec: selector({ key: 'a', operator: 'In' }),
    says: VALUES,
    field: 'spec.podSelector.matchExpressions[0]',
  },
  {
    name: 'NotIn with an empty list',
    spec: selector({ key: 'a', operator: 'NotIn', values: [] }),
    says: VALUES,
    field: 'spec.podSelector.matchExpressions[0]',
  },
  {
    name: 'Exists with values',
    spec: selector({ key: 'a', operator: 'Exists', values: ['b'] }),
    says: VALUES,
    field: 'spec.podSelector.matchExpressions[0]',
  },
  {
    name: 'an operator that there is not',
    spec: selector({ key: 'a', operator: 'Equals', values: ['b'] }),
    says: 'supported values: "In"',
    field: 'spec.podSelector.matchExpressions[0].operator',
  },
  {
    name: 'an expression without a key',
    spec: selector({ operator: 'Exists' }),
    says: 'Required value',
    field: 'spec.podSelector.matchExpressions[0].key',
  },
  {
    name: 'a label that is a number',
    spec: { podSelector: { matchLabels: { a: 1 } } },
    says: 'must be of type string',
    field: 'spec.podSelector.matchLabels.a',
  },
  {
    name: 'a list as selector',
    spec: { namespaceSelector: [] },
    says: 'must be of type object',
    field: 'spec.namespaceSelector',
  },
  { name: 'no specification', spec: undefined, says: 'Required value', field: 'spec' },
]
