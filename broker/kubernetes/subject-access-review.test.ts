import { expect, test } from 'vitest'
import { readDecision } from './subject-access-review.ts'

test('allowed is what says so', () => {
  expect(readDecision({ status: { allowed: true, reason: 'RBAC: a rule' } })).toEqual({
    isAllowed: true,
    reason: 'RBAC: a rule',
  })
})

test.for<{ name: string; review: unknown }>([
  { name: 'null', review: null },
  { name: 'nothing', review: {} },
  { name: 'no status', review: { status: null } },
  { name: 'a text', review: { status: { allowed: 'true' } } },
  { name: 'a number', review: { status: { allowed: 1 } } },
  { name: 'a denial', review: { status: { allowed: true, denied: true } } },
  { name: 'no', review: { status: { allowed: false, evaluationError: 'role not found' } } },
])('$name is not allowed', ({ review }) => {
  expect(readDecision(review).isAllowed).toBe(false)
})
