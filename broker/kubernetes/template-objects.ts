import { checkValue, describeProblem } from '../../core/runtime/config.ts'
import {
  BUILT_IN_TEMPLATE,
  type IdentityTemplate,
  identityTemplateSchema,
  selectionSchema,
} from '../registration/identity-template.ts'
import type { TemplateObject } from '../registration/template-review.ts'
import { problemsOf, type TemplateRules } from '../registration/template-rules.ts'
import { type TemplateStatus, templateStatusSchema } from '../registration/template-status.ts'
import type { ApiObject } from './watch-events.ts'

/** What is kept of an IdentityTemplate of the API server. */
export interface KeptTemplate extends TemplateObject {
  readonly uid: string
  /** The newest good version of this object. */
  readonly lastGood: IdentityTemplate | undefined
  /** What stands there. */
  readonly status: TemplateStatus
}

interface Raw extends ApiObject {
  readonly metadata: ApiObject['metadata'] & { readonly uid?: unknown; readonly generation?: unknown }
  readonly spec?: unknown
  readonly status?: unknown
}

/**
 * Reads an object. The last good version stays in force while it is wrong; without one, as after a restart, it claims the
 * pods that it selects and gives them nothing.
 *
 * @param before what was kept of the object of this name.
 */
export function readTemplateObject(
  object: ApiObject,
  before: KeptTemplate | undefined,
  rules: TemplateRules,
): KeptTemplate {
  const { metadata, spec, status } = object as Raw
  const { name } = metadata
  const uid = String(metadata.uid)
  const generation = typeof metadata.generation === 'number' ? metadata.generation : 0
  const known = before?.uid === uid ? before : undefined
  const read = templateStatusSchema.safeParse(status ?? {})
  const seen = { name, uid, generation, status: read.success ? read.data : {} }
  // Only its status has changed, or all was listed anew.
  if (known?.generation === generation) return { ...known, ...seen }

  const checked = checkValue(
    { apiVersion: 'countersign.dev/v1alpha1', kind: 'IdentityTemplate', metadata: { name }, spec },
    identityTemplateSchema,
  )
  const problems = 'value' in checked ? problemsOf(checked.value, rules) : checked.problems
  if ('value' in checked && problems.length === 0) {
    return { ...seen, problems, template: checked.value, lastGood: checked.value }
  }
  const lastGood = known?.lastGood
  const template = lastGood ?? claimOf(name, spec, problems.map(describeProblem).join('; '))
  return { ...seen, problems, template, lastGood }
}

/** What is wrong beyond its selectors too is taken to select everything: who it was meant for, nobody knows. */
function claimOf(name: string, spec: unknown, unusable: string): IdentityTemplate {
  const selection = selectionSchema.safeParse({ spec })
  const { podSelector, namespaceSelector, serviceAccounts } = selection.success ? selection.data.spec : {}
  return { ...BUILT_IN_TEMPLATE, name, podSelector, namespaceSelector, serviceAccounts, unusable }
}
