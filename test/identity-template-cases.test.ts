import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { checkValue } from '../core/runtime/config.ts'
import { identityTemplateSchema } from '../broker/registration/identity-template.ts'
import { BAD, GOOD, PROMISED } from './identity-template-cases.ts'

const check = (spec: unknown) =>
  checkValue(
    { apiVersion: 'countersign.dev/v1alpha1', kind: 'IdentityTemplate', metadata: { name: 'x' }, spec },
    identityTemplateSchema,
  )

// The API server sees to duplicates of lists that are sets; twice the same does no harm in a file.
const ONLY_THERE = new Set(['a DNS name twice', 'a ServiceAccount twice'])

test.for(Object.keys(GOOD))('the schema takes what the API server takes: %s', (name) => {
  expect(check(GOOD[name])).toHaveProperty('value')
})

test.for(BAD.filter(({ name }) => !ONLY_THERE.has(name)))(
  'the schema refuses what the API server refuses: $name',
  ({ spec }) => {
    expect(check(spec)).toHaveProperty('problems')
  },
)

test.for(PROMISED)('docs/objects/identity-template.md promises: %s', (message) => {
  expect(readFileSync('docs/objects/identity-template.md', 'utf8')).toContain(message)
})

test('there are sixty cases and more', () => {
  expect(Object.keys(GOOD).length + BAD.length).toBeGreaterThanOrEqual(100)
})
