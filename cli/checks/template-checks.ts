import { ConditionStatus, type Template } from '../../proto/gen/countersign/admin/v1/admin_pb.ts'
import { type Check, count, fail, type Finding, judged, pass } from './check.ts'
import type { InstalledFacts } from './facts.ts'

/** What is written about identities. */
export const TEMPLATE_CHECKS: readonly Check<InstalledFacts>[] = [
  {
    id: 'templates',
    category: 'templates',
    title: 'every IdentityTemplate is in force',
    about:
      'A bad edit leaves the good one before it in force; two that claim the same pod leave it without an identity.',
    run: ({ templates }) =>
      judged(templates, (all) => {
        const findings = templateFindings(all)
        if (all.length === 0) return pass('there are none: the built-in one serves every pod')
        if (findings.length === 0) return pass(count(all.length, 'template'))
        return fail(
          `${count(findings.length, 'template')} of ${all.length} ${findings.length === 1 ? 'has' : 'have'} problems`,
          'Correct what the message names: kubectl describe identitytemplate; docs/objects/identity-template.md.',
          findings,
        )
      }),
  },
]

/** What is wrong with each template. */
function templateFindings(all: readonly Template[]): Finding[] {
  return all.flatMap(({ name, inForce, problems, conditions }) => {
    const wrong = problems.map(({ path, message }) => (path ? `${path}: ${message}` : message))
    const notReady = conditions
      .filter(({ type, status }) => type === 'Ready' && status === ConditionStatus.FALSE)
      .map(({ reason, message }) => `${reason}: ${message}`)
    const reasons = wrong.length > 0 ? wrong : notReady
    if (reasons.length === 0 && inForce) return []
    return [{ subject: name, reason: [...reasons, ...(inForce ? [] : ['not in force'])].join('; ') }]
  })
}

/** The broker has what is wrong with a template among its problems, under a key that begins so. */
const PROBLEM_KEY = 'templates/'

/** Of which problems of the broker, by their keys, the check of the templates tells. */
export function toldOfTemplates(all: readonly Template[]): (key: string) => boolean {
  const wrong = new Set(templateFindings(all).map(({ subject }) => subject))
  // `templates/<object>`, or `templates/<file>: <path>`.
  return (key) => key.startsWith(PROBLEM_KEY) && wrong.has(key.slice(PROBLEM_KEY.length).split(': ', 1)[0] ?? '')
}
