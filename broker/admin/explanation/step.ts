import { ERROR_CODES, type ErrorCode } from '../../../core/runtime/error-codes.ts'
import { codeOf, IdentityError } from '../../../core/runtime/errors.ts'

/** The steps on the way from a pod to its identity, in order. docs/admin-api.md lists them, held to it by a test. */
export const STEPS = {
  pod: 'The pod exists, and is not over.',
  volume: 'It has a volume of our driver, written as the agent wants it.',
  node: 'It is scheduled to a node.',
  agent: "The node's agent is connected to the broker.",
  'service-account': 'Its ServiceAccount exists.',
  template: 'Exactly one IdentityTemplate selects it.',
  identity: 'The template can be filled from what is known of it.',
  denied: 'The identity is not revoked.',
  issued: 'It has an SVID that is valid.',
  refusals: 'Nothing that it asked for since was refused.',
  renewal: 'Its SVID is renewed in time.',
} as const satisfies Record<string, string>

export type StepName = keyof typeof STEPS
export type Outcome = 'ok' | 'failed' | 'skipped' | 'unknown'

export interface Step {
  readonly name: StepName
  readonly outcome: Outcome
  /** For people who do not know Countersign. */
  readonly found: string
  readonly code: ErrorCode | undefined
  readonly remedy: string
}

export function ok(name: StepName, found: string): Step {
  return { name, outcome: 'ok', found, code: undefined, remedy: '' }
}

export function skipped(name: StepName, found: string): Step {
  return { name, outcome: 'skipped', found, code: undefined, remedy: '' }
}

/** @param code says what to do, where `remedy` does not say it better. */
export function failed(
  name: StepName,
  found: string,
  { code, remedy }: { readonly code?: ErrorCode; readonly remedy?: string },
): Step {
  return { name, outcome: 'failed', found, code, remedy: remedy ?? (code ? ERROR_CODES[code].remedy : '') }
}

/** Neither good nor bad as yet. */
export function undecided(name: StepName, found: string): Step {
  return { name, outcome: 'unknown', found, code: undefined, remedy: '' }
}

/** It could not be found out, because of `error`. */
export function unknown(name: StepName, what: string, error: unknown): Step {
  const code = codeOf(error)
  const why = error instanceof IdentityError ? error.message : 'an error of the broker, which its log has'
  const remedy = (error instanceof IdentityError && error.facts['remedy']) || ERROR_CODES[code].remedy
  return { name, outcome: 'unknown', found: `${what}: ${why}.`, code, remedy }
}
