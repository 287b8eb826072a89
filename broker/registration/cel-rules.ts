import { type Characters, DNS_LABEL_CHARACTERS, VALUE_CHARACTERS } from './fact-boundaries.ts'
import { KNOWN_FACTS, PLACEHOLDER } from './template-text.ts'

/**
 * What the API server itself checks of an object before it takes it (CEL, `x-kubernetes-validations`): the same rules that
 * the schemas beside them check, as far as CEL can say them. `docs/objects` promises the messages.
 */
export interface CelRule {
  readonly rule: string
  readonly message: string
}

/** What the schema of a field carries into its CRD: rules, and keywords such as `maxLength`. */
export function meta(...parts: readonly (CelRule | Readonly<Record<string, unknown>>)[]): Record<string, unknown> {
  const rules = parts.filter((part) => 'rule' in part)
  const keywords = parts.filter((part) => !('rule' in part))
  return { ...Object.assign({}, ...keywords), ...(rules.length > 0 && { 'x-kubernetes-validations': rules }) }
}

/** A list without duplicates, whose members server-side apply merges. */
export const SET = { 'x-kubernetes-list-type': 'set' }
export const ATOMIC = { 'x-kubernetes-list-type': 'atomic' }

/** Any placeholder, where what it names is checked by another rule. */
const ANY = String.raw`\{\{[^{}]*\}\}`

export const KNOWN_FACTS_ONLY = matches(
  `^(?:[^{}]|${PLACEHOLDER})*$`,
  `names an unknown fact, or has braces that do not pair; there are ${KNOWN_FACTS}`,
)

export const SPIFFE_ID = matches(
  String.raw`^spiffe://(?:\{\{\s*trustDomain\s*\}\}|[a-z0-9._-]+)(?:/(?:[\w.-]|${ANY})+)+$`,
  'must be spiffe://{{ trustDomain }}/ or spiffe://<trust domain>/ and a path of letters, digits, dots, hyphens, ' +
    'underscores and facts',
)

export const SEGMENTS: CelRule = {
  rule: String.raw`!self.matches(r'/\.{1,2}(?:/|$)')`,
  message: "has '.' or '..' as a path segment",
}

export const NOT_RESERVED: CelRule = {
  rule: String.raw`!self.matches(r'^spiffe://[^/]*/countersign(?:/|$)')`,
  message: 'is below /countersign/, which is reserved',
}

const DNS_EDGE = `(?:[a-z0-9]|${ANY})`
const DNS_LABEL = `${DNS_EDGE}(?:(?:[a-z0-9-]|${ANY})*${DNS_EDGE})?`
export const DNS_NAME = matches(
  String.raw`^${DNS_LABEL}(?:\.${DNS_LABEL})*$`,
  'is not a DNS name (lower-case letters, digits and hyphens between dots)',
)

export const ID_APART = apart(
  VALUE_CHARACTERS,
  'has facts that run into each other, so that two pods could get the same ID: put a / between them',
)

export const DNS_APART = apart(
  DNS_LABEL_CHARACTERS,
  'has facts that run into each other, so that two pods could get the same name: put a dot between them',
)

export const NAME_APART = apart(
  VALUE_CHARACTERS,
  'has facts that run into each other, so that two pods could get the same name: put a character between them that ' +
    'neither value can hold, such as @',
)

export const SERVICE_ACCOUNT = matches(
  '^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?/)?[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$',
  'must be name or namespace/name',
)

export const DURATION = matches('^(?:[0-9]+(?:ms|s|m|h|d))+$', 'is not a duration; write for example 90s, 30m or 1h30m')

export const HINT: CelRule = { rule: 'size(bytes(self)) <= 1024', message: 'is longer than 1024 bytes' }

export const NOT_FEDERATED: CelRule = { rule: 'size(self) == 0', message: 'federation is not served yet' }

export const OPERATOR_AND_VALUES: CelRule = {
  rule: "(self.operator == 'In' || self.operator == 'NotIn') == (has(self.values) && size(self.values) > 0)",
  message: 'In and NotIn need values, Exists and DoesNotExist have none',
}

/**
 * What `factsThatRunTogether` checks: not both from the left and from the right are there two facts with nothing between
 * them but what the nearer one's values may hold.
 */
function apart(characters: Characters, message: string): CelRule {
  const kinds = Object.groupBy(Object.entries(characters), ([, { inside }]) => inside)
  const groups = Object.entries(kinds).map(([inside, members = []]) => ({
    fact: placeholder(members.map(([kind]) => kind)),
    blur: `(?:[${inside}]|${placeholder(['trustDomain'])})*`,
  }))
  const any = placeholder(Object.keys(characters))
  const fromLeft = either(groups.map(({ fact, blur }) => fact + blur)) + any
  const fromRight = any + either(groups.map(({ fact, blur }) => blur + fact))
  // Where all values are made of the same, these are one.
  const terms = [...new Set([fromLeft, fromRight])].map((expression) => `!${selfMatches(expression)}`)
  return { rule: terms.join(' || '), message }
}

/** A placeholder of one of these kinds. */
function placeholder(kinds: readonly string[]): string {
  const names = kinds.map((kind) => (kind.endsWith('Labels') ? String.raw`${kind}\.[^{}]*` : kind))
  return String.raw`\{\{\s*${either(names)}\s*\}\}`
}

function either(expressions: readonly string[]): string {
  return expressions.length === 1 ? expressions.join('') : `(?:${expressions.join('|')})`
}

function matches(expression: string, message: string): CelRule {
  return { rule: selfMatches(expression), message }
}

/** Written as a raw string, which a quote would end. */
function selfMatches(expression: string): string {
  if (expression.includes("'")) throw new TypeError('a quote in a raw string')
  return `self.matches(r'${expression}')`
}
