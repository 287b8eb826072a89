import type { IdentityError } from '../core/runtime/errors.ts'
import type { Lifecycle } from '../core/runtime/lifecycle.ts'
import type { Metrics } from '../core/runtime/metrics.ts'
import type { BrokerEnvironment } from './environment.ts'
import type { ApiConnection } from './kubernetes/api-connection.ts'
import { TemplateCustomResources } from './kubernetes/template-custom-resources.ts'
import { TemplateStatuses } from './kubernetes/template-statuses.ts'
import { WatchedPods } from './kubernetes/watched-pods.ts'
import type { BROKER_METRICS } from './metrics.ts'
import type { Problems } from './problems.ts'
import type { Readiness } from './readiness.ts'
import type { TemplateRules } from './registration/template-rules.ts'
import type { TemplateSource, TemplateState } from './registration/template-source.ts'
import { type TemplateProblem, templateProblems } from './template-problems.ts'

/** What templates are read and told of with. */
export interface TemplateParts {
  readonly environment: BrokerEnvironment
  readonly lifecycle: Lifecycle
  readonly metrics: Metrics<typeof BROKER_METRICS>
  readonly readiness: Readiness
  readonly problems: Problems
}

/** One that passes is none to tell an operator of. */
const TELL_AFTER_FAILURES = 3

/**
 * Follows the IdentityTemplates of the API server and keeps their status. Until they have been read once the broker is
 * not ready and issues nothing: not knowing templates is not having none.
 */
export function startTemplateObjects(rules: TemplateRules, api: ApiConnection, parts: TemplateParts): TemplateSource {
  const { environment, lifecycle, metrics, readiness, problems } = parts
  const { clock, random, log } = environment
  const follows = followingOf(parts)
  const tellProblems = templateProblems({ log, metrics, problems })

  const source = new TemplateCustomResources({
    ...{ api, clock, random, rules },
    onChange: () => statuses.changed(),
    onTrouble: follows('identitytemplates'),
  })
  const [podTrouble, namespaceTrouble] = [follows('pods'), follows('namespaces')]
  const pods = new WatchedPods({
    ...{ api, clock, random },
    onChange: () => statuses.changed(),
    onTrouble: (what, trouble) => (what === 'pods' ? podTrouble : namespaceTrouble)(trouble),
  })
  const statuses = new TemplateStatuses({
    ...{ api, clock },
    objects: () => source.objects,
    seen: () => pods.seen,
    onReviewed: (states) => {
      source.reviewed(states)
      tellProblems(states.filter(({ ready }) => !ready).map(problemOf))
    },
    onFailed: (error) => log.warn({ err: error }, 'the status of templates cannot be written; trying again'),
  })
  readiness.check(() => source.notReady())
  lifecycle.add('status of templates', () => statuses.close())
  lifecycle.add('pods', () => pods.close())
  lifecycle.add('templates', () => source.close())
  return source
}

function problemOf({ name, message, reason }: TemplateState): TemplateProblem {
  return { path: name, message, ...(reason === 'Conflict' && { code: 'template_ambiguous' as const }) }
}

/** What is not up to date is told of by log, metric and status, each collection by itself. */
function followingOf({ environment: { log }, metrics, problems }: TemplateParts) {
  return (collection: string) => {
    let failures = 0
    const key = `watch/${collection}`
    return (trouble: IdentityError | undefined) => {
      metrics.countersign_broker_watch_behind.set({ collection }, trouble ? 1 : 0)
      if (!trouble) {
        if (failures > 0) log.info({ collection }, 'up to date again')
        failures = 0
        problems.clear(key)
        return
      }
      failures += 1
      log.warn({ err: trouble, code: trouble.code, collection }, 'not up to date; trying again')
      // A missing rule has been reported under its own name.
      if (failures < TELL_AFTER_FAILURES || trouble.code === 'kubernetes_forbidden') return
      problems.report(key, {
        code: trouble.code,
        message: `${collection} cannot be followed: ${trouble.message}`,
        remedy: 'What was read last stays in force. See whether the API server is well, and the CRDs are installed.',
      })
    }
  }
}
