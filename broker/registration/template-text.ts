/** A fact that a template may name: what the API server vouches for, and labels by name. */
export type Fact =
  | { readonly kind: 'trustDomain' | 'namespace' | 'serviceAccount' | 'podName' | 'podUid' | 'nodeName' }
  | { readonly kind: 'podLabels' | 'namespaceLabels'; readonly label: string }

/** A text with placeholders, parsed: what stands as it is, and what a fact is put in for. */
export type TemplateText = readonly (string | Fact)[]

/** A text longer than this cannot become anything that is issued. */
export const MAX_TEXT_LENGTH = 4096
const PLAIN_FACTS = ['trustDomain', 'namespace', 'serviceAccount', 'podName', 'podUid', 'nodeName'] as const
/** A label's name with its optional prefix, as Kubernetes writes them. */
const LABEL = String.raw`(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?`
const LABEL_ALONE = new RegExp(`^${LABEL}$`)
/** A placeholder of a fact that there is, as a regular expression that CEL (RE2) understands too. */
export const PLACEHOLDER = String.raw`\{\{\s*(?:${PLAIN_FACTS.join('|')}|(?:podLabels|namespaceLabels)\.${LABEL})\s*\}\}`
/** The facts there are, for messages. */
export const KNOWN_FACTS = [...PLAIN_FACTS, 'podLabels.<name>', 'namespaceLabels.<name>'].join(', ')

/**
 * Parses a text like `/ns/{{ namespace }}/app/{{ podLabels.app.kubernetes.io/name }}`. There are no expressions.
 *
 * @throws {SyntaxError} whose message names what is wrong.
 */
export function parseTemplateText(text: string): TemplateText {
  if (text.length > MAX_TEXT_LENGTH) throw new SyntaxError(`is longer than ${MAX_TEXT_LENGTH} characters`)
  return text.split(/(\{\{.*?\}\})/s).flatMap((part): (string | Fact)[] => {
    if (part === '') return []
    if (part.startsWith('{{') && part.endsWith('}}')) return [parseFact(part.slice(2, -2).trim())]
    if (/[{}]/.test(part)) throw new SyntaxError('has braces that do not pair')
    return [part]
  })
}

function parseFact(name: string): Fact {
  const plain = PLAIN_FACTS.find((fact) => fact === name)
  if (plain) return { kind: plain }
  const dot = name.indexOf('.')
  const [kind, label] = [name.slice(0, dot), name.slice(dot + 1)]
  if (kind === 'podLabels' || kind === 'namespaceLabels') {
    if (LABEL_ALONE.test(label)) return { kind, label }
    throw new SyntaxError(`names ${kind}, but no label that Kubernetes allows`)
  }
  throw new SyntaxError(`names an unknown fact '${name.slice(0, 64)}'; there are ${KNOWN_FACTS}`)
}

/** A fact as a template writes it, for messages. */
export function nameOf(fact: Fact): string {
  return 'label' in fact ? `${fact.kind}.${fact.label}` : fact.kind
}
