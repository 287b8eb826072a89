import { expect, test } from 'vitest'
import { bytesOfLabels, labelsOr, readLabels } from './read-labels.ts'

const many = (count: number, name: string, value: string) =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`${name}${index}`, value]))

test('reads what Kubernetes has of labels, and nothing that is none', () => {
  expect(readLabels({ app: 'cart', odd: 1 })).toEqual(new Map([['app', 'cart']]))
  expect(readLabels(undefined)).toEqual(new Map())
  expect(readLabels(null)).toEqual(new Map())
})

test.for([
  { name: 'long ones', labels: many(100, `${'a'.repeat(250)}/${'b'.repeat(50)}`, 'v'.repeat(63)) },
  { name: 'short ones', labels: many(500, '', '') },
])('of too many labels none is read: $name', ({ labels }) => {
  expect(readLabels(labels)).toBeUndefined()
  expect(() => labelsOr(readLabels(labels), 'pod')).toThrow(
    expect.objectContaining({ code: 'template_unrenderable', message: expect.stringContaining('the pod has more') }),
  )
})

test('two hundred and fifty usual labels are read', () => {
  const labels = readLabels(many(250, 'app.kubernetes.io/component-', 'database'))
  expect(labels?.size).toBe(250)
  expect(bytesOfLabels(labels)).toBeLessThanOrEqual(32 * 1024)
})
