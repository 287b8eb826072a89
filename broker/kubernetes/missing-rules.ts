import { IdentityError } from '../../core/runtime/errors.ts'
import { redact } from '../../core/runtime/log.ts'
import type { Problems } from '../problems.ts'
import { type ApiRule, nameOfRule, ruleOf, yamlOfRule } from './api-rule.ts'

type Method = Parameters<typeof ruleOf>[0]

/** Rules that are remembered as missing at a time; there are far fewer that we ever ask for. */
const MAX_MISSING = 200
const MAX_QUOTED = 300
const RETRY_MS = 1_000

/** The message of RBAC, from which nothing is taken but names. */
const BY_RBAC =
  /User "(?<user>[^"]{1,300})" cannot (?<verb>[a-z]+) (?:resource "(?<resource>[^"]+)" in API group "(?<group>[^"]*)"|path "(?<path>[^"]+)")/

/**
 * What the API server has forbidden us: each becomes an error and a problem that name the missing rule, until a request
 * that needs it goes through.
 */
export class MissingRules {
  readonly #problems: Problems | undefined
  /** Keys of problems. */
  readonly #missing = new Set<string>()

  constructor(problems: Problems | undefined) {
    this.#problems = problems
  }

  /** The error for a 403 with this body. */
  forbidden(method: Method, path: string, body: string): IdentityError {
    const message = messageOf(body)
    const said = BY_RBAC.exec(message)?.groups
    const asked = ruleOf(method, path)
    const rule: ApiRule = said
      ? {
          verb: said['verb'] ?? asked.verb,
          group: said['group'] ?? '',
          resource: said['resource'] ?? said['path'] ?? asked.resource,
          namespace: asked.namespace,
        }
      : asked
    const key = keyOf(asked)
    const refusal = said
      ? {
          message: `the API server does not let ${said['user']} ${nameOfRule(rule)}`,
          remedy: `Add to a ${rule.namespace === undefined ? 'ClusterRole' : `Role in ${rule.namespace}`} of it: ${yamlOfRule(rule)}`,
        }
      : {
          // Not RBAC: an admission plug-in, a quota, a namespace that is being deleted.
          message: `the API server forbids ${nameOfRule(rule)}: ${quoted(message)}`,
          remedy: `Allow it; the broker needs ${yamlOfRule(rule)}`,
        }
    if (this.#missing.size < MAX_MISSING) {
      this.#missing.add(key)
      this.#problems?.report(key, { code: 'kubernetes_forbidden', ...refusal })
    }
    return new IdentityError('kubernetes_forbidden', refusal.message, {
      retryAfterMs: RETRY_MS,
      facts: { rule: yamlOfRule(rule), remedy: refusal.remedy },
    })
  }

  /** A request went through. Costs nothing as long as nothing is missing. */
  allowed(method: Method, path: string): void {
    if (this.#missing.size === 0) return
    const key = keyOf(ruleOf(method, path))
    if (this.#missing.delete(key)) this.#problems?.clear(key)
  }
}

function keyOf({ verb, group, resource, namespace = '*' }: ApiRule): string {
  return `rbac/${verb}/${group === '' ? 'core' : group}/${resource}/${namespace}`
}

function messageOf(body: string): string {
  try {
    const { message } = JSON.parse(body) as { message?: unknown }
    return typeof message === 'string' ? message : ''
  } catch {
    return ''
  }
}

/** Somebody else's words: short, and without what may not be repeated (invariant 6). */
function quoted(message: string): string {
  return message === '' ? 'it does not say why' : redact(message).slice(0, MAX_QUOTED)
}
