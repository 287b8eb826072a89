import { ConditionStatus } from '../../proto/gen/countersign/admin/v1/admin_pb.ts'
import { type Check, count, fail, judged, pass } from './check.ts'
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
        const findings = all.flatMap(({ name, inForce, problems, conditions }) => {
          const wrong = problems.map(({ path, message }) => (path ? `${path}: ${message}` : message))
          const notReady = conditions
            .filter(({ type, status }) => type === 'Ready' && status === ConditionStatus.FALSE)
            .map(({ reason, message }) => `${reason}: ${message}`)
          const reasons = wrong.length > 0 ? wrong : notReady
          if (reasons.length === 0 && inForce) return []
          return [{ subject: name, reason: [...reasons, ...(inForce ? [] : ['not in force'])].join('; ') }]
        })
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
