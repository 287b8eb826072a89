import { z } from 'zod'
import * as cel from './cel-rules.ts'
import type { Labels } from './pod-facts.ts'

const expression = z
  .strictObject({
    key: z.string().min(1).max(317),
    operator: z.enum(['In', 'NotIn', 'Exists', 'DoesNotExist']),
    values: z.array(z.string().max(63)).max(1000).optional().meta(cel.ATOMIC),
  })
  .refine(({ operator, values = [] }) => (operator === 'In' || operator === 'NotIn') === values.length > 0, {
    path: ['values'],
    message: cel.OPERATOR_AND_VALUES.message,
  })
  .meta(cel.meta(cel.OPERATOR_AND_VALUES))

/** Kubernetes' LabelSelector; without a requirement it selects everything. */
export const labelSelector = z.strictObject({
  matchLabels: z.record(z.string().min(1).max(317), z.string().max(63)).optional().meta({ maxProperties: 1000 }),
  matchExpressions: z.array(expression).max(100).optional().meta(cel.ATOMIC),
})

export type LabelSelector = z.output<typeof labelSelector>

/** Whether all requirements hold; the semantics are Kubernetes' (`NotIn` holds where the label is absent). */
export function selects({ matchLabels = {}, matchExpressions = [] }: LabelSelector, labels: Labels): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => labels.get(key) === value) &&
    matchExpressions.every((requirement) => holds(requirement, labels))
  )
}

function holds({ key, operator, values = [] }: z.output<typeof expression>, labels: Labels): boolean {
  const value = labels.get(key)
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value)
    case 'NotIn':
      return value === undefined || !values.includes(value)
    case 'Exists':
      return value !== undefined
    case 'DoesNotExist':
      return value === undefined
  }
}

/** Whether the selector asks for anything: only then do labels have to be known. */
export function asksForLabels(selector: LabelSelector | undefined): selector is LabelSelector {
  return Object.keys(selector?.matchLabels ?? {}).length > 0 || (selector?.matchExpressions ?? []).length > 0
}
