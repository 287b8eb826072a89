import type { Check, Outcome, Verdict } from './check.ts'

/** A check with what came of it. */
export interface CheckResult extends Verdict {
  readonly id: string
  readonly category: string
  readonly title: string
}

/** Runs every check, in the order of the list. */
export function runChecks<Facts>(checks: readonly Check<Facts>[], facts: Facts): CheckResult[] {
  return checks.map((check) => {
    const { id, category, title } = check
    return { id, category, title, ...check.run(facts) }
  })
}

/** The worst of them; a list of skipped ones alone says nothing good. */
export function worst(results: readonly Pick<CheckResult, 'outcome'>[]): Outcome {
  const order: readonly Outcome[] = ['fail', 'warn', 'pass', 'skip']
  return order.find((outcome) => results.some((result) => result.outcome === outcome)) ?? 'skip'
}
