import { type Fact, nameOf, type TemplateText } from './template-text.ts'

/** A fact whose value others choose. The trust domain is not: it is the installation's, and the same for every pod. */
type ChosenKind = Exclude<Fact['kind'], 'trustDomain'>
type ChosenFact = Fact & { readonly kind: ChosenKind }

/** What values are made of. */
interface Made {
  /** As the inside of a character class, which CEL (RE2) understands too. */
  readonly inside: string
  readonly only: RegExp
}
export type Characters = Readonly<Record<ChosenKind, Made>>

const madeOf = (inside: string): Made => ({ inside, only: new RegExp(`^[${inside}]*$`) })

// Capitals count to each of them, so that nothing changes for a reader who folds case.
const DNS_LABEL = madeOf('A-Za-z0-9-')
const DNS_NAME = madeOf('A-Za-z0-9.-')
const LABEL_VALUE = madeOf('A-Za-z0-9._-')

/** What Kubernetes allows: one DNS label for namespaces, names with dots for the others, and UUIDs. */
export const VALUE_CHARACTERS: Characters = {
  namespace: DNS_LABEL,
  podUid: DNS_LABEL,
  serviceAccount: DNS_NAME,
  podName: DNS_NAME,
  nodeName: DNS_NAME,
  podLabels: LABEL_VALUE,
  namespaceLabels: LABEL_VALUE,
}

/** Where a value takes the place of one DNS label, nothing has a dot. */
export const DNS_LABEL_CHARACTERS: Characters = {
  namespace: DNS_LABEL,
  podUid: DNS_LABEL,
  serviceAccount: DNS_LABEL,
  podName: DNS_LABEL,
  nodeName: DNS_LABEL,
  podLabels: DNS_LABEL,
  namespaceLabels: DNS_LABEL,
}

/** Whether `value` is made of what `kind` allows. */
export function isValueOf(kind: ChosenKind, value: string): boolean {
  return VALUE_CHARACTERS[kind].only.test(value)
}

/**
 * Those facts of `text` of which {@link factsThatRunTogether} has to know what their values are made of: two in one
 * segment. No value has a slash, whatever it is.
 */
export function factsThatTouch(text: TemplateText): ReadonlySet<Fact> {
  const known = TOUCHING.get(text)
  if (known) return known
  const touching = boundariesOf(text).filter(({ between }) => !between.includes('/'))
  const facts = new Set(touching.flatMap(({ left, right }) => [left, right]))
  TOUCHING.set(text, facts)
  return facts
}

/** Asked for each SVID; texts are those of the templates that are in force. */
const TOUCHING = new WeakMap<TemplateText, ReadonlySet<Fact>>()

/** Two facts of a text, and what is written between them. */
interface Boundary {
  readonly left: ChosenFact
  readonly between: string
  readonly right: ChosenFact
}

/**
 * Which two facts of `text` run into each other, so that two pods could get one name by it: by
 * `{{ namespace }}-{{ serviceAccount }}` both `db` of `shop-prod` and `prod-db` of `shop` are `shop-prod-db`.
 *
 * A text is taken if it can be read back from the left: after each fact, and before the next, stands a character that no
 * value of the fact holds. The first such character in a name is then the one that is written there, so that where the
 * value ends is known, and what follows is read alike. Or else from the right, in the same way. To look at each boundary
 * by itself would not do: both in `{{ podName }}.{{ namespace }}.{{ nodeName }}` have a side that holds no dots, and yet
 * `a.b.c.d` can be read twice.
 *
 * @returns their names, or nothing.
 */
export function factsThatRunTogether(text: TemplateText, characters: Characters): string | undefined {
  const boundaries = boundariesOf(text)
  const isBlurred = (fact: ChosenFact, between: string) => characters[fact.kind].only.test(between)
  const fromLeft = boundaries.filter(({ left, between }) => isBlurred(left, between))
  const fromRight = boundaries.filter(({ right, between }) => isBlurred(right, between))
  const worst = fromLeft.find((boundary) => fromRight.includes(boundary)) ?? fromLeft[0]
  if (!worst || fromRight.length === 0) return undefined
  return `${nameOf(worst.left)} and ${nameOf(worst.right)}`
}

/** The trust domain parts nothing: which characters it has, a template does not know. */
function boundariesOf(text: TemplateText): readonly Boundary[] {
  const boundaries: Boundary[] = []
  let left: ChosenFact | undefined
  let between = ''
  for (const part of text) {
    if (typeof part === 'string') between += part
    else if (isChosen(part)) {
      if (left) boundaries.push({ left, between, right: part })
      left = part
      between = ''
    }
  }
  return boundaries
}

function isChosen(fact: Fact): fact is ChosenFact {
  return fact.kind !== 'trustDomain'
}
