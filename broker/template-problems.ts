import { describeProblem, type Problem } from '../core/runtime/config.ts'
import type { Log } from '../core/runtime/log.ts'
import type { Metrics } from '../core/runtime/metrics.ts'
import type { BROKER_METRICS } from './metrics.ts'
import type { Problems } from './problems.ts'

interface Told {
  readonly log: Log
  readonly metrics: Metrics<typeof BROKER_METRICS>
  readonly problems: Problems
}

/** What is wrong with a template; `object_invalid` unless it says otherwise. */
export interface TemplateProblem extends Problem {
  readonly code?: 'template_ambiguous'
}

const REMEDY = 'Correct the template; `kubectl get identitytemplates -o wide` shows what each has come to.'
const MAX_LOGGED = 20

/**
 * Tells operators what is wrong with templates, in the log, a metric and the status of the broker: once for each change.
 */
export function templateProblems({ log, metrics, problems }: Told): (wrong: readonly TemplateProblem[]) => void {
  let before = ''
  let keys: readonly string[] = []
  return (wrong) => {
    const now = wrong.map(describeProblem).join('\n')
    if (now === before) return
    before = now
    metrics.countersign_broker_template_problems.set(wrong.length)
    const reports = wrong.map((problem) => [`templates/${problem.path}`, problem] as const)
    const known = new Set<string>(reports.map(([key]) => key))
    for (const key of keys) if (!known.has(key)) problems.clear(key)
    keys = [...known]
    for (const [key, problem] of reports) {
      problems.report(key, {
        code: problem.code ?? 'object_invalid',
        message: `IdentityTemplate ${describeProblem(problem)}`,
        remedy: REMEDY,
      })
    }
    if (wrong.length === 0) log.info({}, 'all templates are good')
    else log.warn({ problems: wrong.slice(0, MAX_LOGGED), count: wrong.length }, 'templates are wrong')
  }
}
