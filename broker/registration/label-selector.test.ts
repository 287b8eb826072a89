import { expect, test } from 'vitest'
import { asksForLabels, labelSelector, selects } from './label-selector.ts'

const labels = new Map([
  ['app', 'cart'],
  ['tier', 'web'],
])
const expression = (key: string, operator: string, values?: string[]) => ({
  matchExpressions: [{ key, operator, ...(values && { values }) }],
})

test.for([
  { name: 'nothing asked', selector: {}, selected: true },
  { name: 'a label', selector: { matchLabels: { app: 'cart' } }, selected: true },
  { name: 'a label of another value', selector: { matchLabels: { app: 'till' } }, selected: false },
  { name: 'one label of two', selector: { matchLabels: { app: 'cart', zone: 'a' } }, selected: false },
  { name: 'In', selector: expression('app', 'In', ['till', 'cart']), selected: true },
  { name: 'In, absent', selector: expression('zone', 'In', ['a']), selected: false },
  { name: 'NotIn', selector: expression('app', 'NotIn', ['cart']), selected: false },
  { name: 'NotIn, absent', selector: expression('zone', 'NotIn', ['a']), selected: true },
  { name: 'Exists', selector: expression('tier', 'Exists'), selected: true },
  { name: 'Exists, absent', selector: expression('zone', 'Exists'), selected: false },
  { name: 'DoesNotExist', selector: expression('tier', 'DoesNotExist'), selected: false },
  { name: 'DoesNotExist, absent', selector: expression('zone', 'DoesNotExist'), selected: true },
  {
    name: 'labels and expressions both',
    selector: { matchLabels: { app: 'cart' }, ...expression('tier', 'DoesNotExist') },
    selected: false,
  },
])('$name: $selected', ({ selector, selected }) => {
  expect(selects(labelSelector.parse(selector), labels)).toBe(selected)
})

test.for([
  { name: 'In without values', selector: expression('a', 'In') },
  { name: 'Exists with values', selector: expression('a', 'Exists', ['b']) },
  { name: 'an unknown operator', selector: expression('a', 'Gt', ['1']) },
  { name: 'an unknown key', selector: { matchLabel: {} } },
])('refuses $name', ({ selector }) => {
  expect(labelSelector.safeParse(selector).success).toBe(false)
})

test.for([
  { selector: undefined, asks: false },
  { selector: {}, asks: false },
  { selector: { matchLabels: {} }, asks: false },
  { selector: { matchLabels: { a: 'b' } }, asks: true },
  { selector: expression('a', 'Exists'), asks: true },
])('$selector asks for labels: $asks', ({ selector, asks }) => {
  expect(asksForLabels(selector && labelSelector.parse(selector))).toBe(asks)
})
