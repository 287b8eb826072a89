import { IdentityError } from '../../core/runtime/errors.ts'
import type { Problem } from '../problems.ts'
import type { IdentityTemplate } from '../registration/identity-template.ts'
import type { LabelSelector } from '../registration/label-selector.ts'
import type { TemplateSource, TemplateState } from '../registration/template-source.ts'
import { nameOf, type TemplateText } from '../registration/template-text.ts'
import type { TemplateCatalogue, TemplateView } from './template-answers.ts'

/** Keys of the problems that templates have begin so, followed by the name of the object or file. */
const PROBLEM_KEY = 'templates/'
/** Shown of a selector. */
const MAX_CHARACTERS = 1_000

/**
 * All templates there are: those in force, with what their status says, and those that are wrong. There may be ten
 * thousand, so that only those of a page are made ready to be shown.
 */
export function templateCatalogue(source: TemplateSource, problems: readonly Problem[]): TemplateCatalogue {
  const states = new Map((source.statuses?.() ?? []).map((state) => [state.name, state]))
  const wrong = Map.groupBy(problems.flatMap(aboutTemplate), ({ name }) => name)
  const templates = new Map(currentOf(source).map((template) => [template.name, template]))
  return {
    names: [...new Set([...templates.keys(), ...states.keys(), ...wrong.keys()])],
    isWrong: (name) => !isInForce(templates.get(name)) || wrong.has(name) || states.get(name)?.ready === false,
    view: (name) => viewOf(name, templates.get(name), states.get(name), wrong.get(name) ?? []),
  }
}

/** How many templates there are that give identities. */
export function templatesInForce(source: TemplateSource): number {
  return currentOf(source).filter(isInForce).length
}

function isInForce(template: IdentityTemplate | undefined): boolean {
  return template !== undefined && template.unusable === undefined
}

interface TemplateProblem {
  /** Of the object, or of the file that is none. */
  readonly name: string
  readonly path: string
  readonly message: string
}

/** The key is `templates/<object>`, or `templates/<file>: <path>`, and the message begins with the same. */
function aboutTemplate({ key, message }: Problem): TemplateProblem[] {
  if (!key.startsWith(PROBLEM_KEY)) return []
  const what = key.slice(PROBLEM_KEY.length)
  const colon = what.indexOf(': ')
  const [name, path] = colon === -1 ? [what, ''] : [what.slice(0, colon), what.slice(colon + 2)]
  const words = message.replace(/^IdentityTemplate /, '')
  return [{ name, path, message: words.startsWith(`${what}: `) ? words.slice(what.length + 2) : words }]
}

/** None while they have never been read: the status says that, as a problem. */
function currentOf(source: TemplateSource): readonly IdentityTemplate[] {
  try {
    return source.current()
  } catch (error) {
    if (error instanceof IdentityError) return []
    throw error
  }
}

function viewOf(
  name: string,
  template: IdentityTemplate | undefined,
  state: TemplateState | undefined,
  problems: readonly TemplateProblem[],
): TemplateView {
  return {
    name,
    inForce: isInForce(template),
    spiffeId: template ? textOf(template.spiffeId) : '',
    selects: template ? selectorsOf(template) : '',
    ttlMs: template?.ttlMs,
    keyType: template?.keyType ?? '',
    conditions: state ? [conditionOf(state)] : [],
    // What is wrong with an object is in its condition, and a problem as well.
    problems: state ? (state.ready ? [] : [{ path: '', message: state.message }]) : withUnusable(template, problems),
    pods: state?.serves?.pods,
    serviceAccounts: state?.serves?.serviceAccounts ?? [],
  }
}

function withUnusable(
  template: IdentityTemplate | undefined,
  problems: readonly TemplateProblem[],
): TemplateView['problems'] {
  if (problems.length > 0 || template?.unusable === undefined) return problems
  return [{ path: '', message: template.unusable }]
}

function conditionOf({ ready, reason, message }: TemplateState): TemplateView['conditions'][number] {
  return { type: 'Ready', status: ready ? 'True' : 'False', reason, message, lastTransition: undefined }
}

/** As it was written, but for spaces. */
function textOf(text: TemplateText): string {
  return text.map((part) => (typeof part === 'string' ? part : `{{ ${nameOf(part)} }}`)).join('')
}

function selectorsOf({ serviceAccounts, namespaceSelector, podSelector }: IdentityTemplate): string {
  const parts = [
    serviceAccounts && `serviceAccounts: ${serviceAccounts.join(', ')}`,
    namespaceSelector && `namespaceSelector: ${labelsOf(namespaceSelector)}`,
    podSelector && `podSelector: ${labelsOf(podSelector)}`,
  ].filter((part) => part !== undefined)
  const text = parts.join('; ')
  return text.length > MAX_CHARACTERS ? `${text.slice(0, MAX_CHARACTERS)}…` : text
}

/** As kubectl writes a selector. */
function labelsOf({ matchLabels = {}, matchExpressions = [] }: LabelSelector): string {
  const expressions = matchExpressions.map(({ key, operator, values = [] }) => {
    switch (operator) {
      case 'In':
        return `${key} in (${values.join(',')})`
      case 'NotIn':
        return `${key} notin (${values.join(',')})`
      case 'Exists':
        return key
      case 'DoesNotExist':
        return `!${key}`
    }
  })
  return [...Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`), ...expressions].join(', ') || 'all'
}
