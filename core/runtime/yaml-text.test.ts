import { expect, test } from 'vitest'
import { readYaml } from './yaml-text.ts'

test('gives the value of a text, and what is wrong with one, with its place', () => {
  expect(readYaml('a: [1, { b: "c" }]\n')).toEqual({ value: { a: [1, { b: 'c' }] } })
  expect(readYaml('a: 1\nb: 2\n  \na: 3\n')).toEqual({ problems: ['Map keys must be unique at line 4, column 1'] })
  expect(readYaml('{ ? { a: *b } : c }')).toHaveProperty('problems')
})

test.for([
  { name: 'brackets', open: '[', close: ']' },
  { name: 'braces', open: '{a: ', close: '}' },
])('takes a hundred levels, and no more: $name', ({ open, close }) => {
  const nested = (levels: number) => readYaml(open.repeat(levels) + 'x' + close.repeat(levels))
  expect(nested(90)).toHaveProperty('value')
  expect(nested(101)).toEqual({ problems: ['is nested deeper than 100 levels'] })
})

/** Where the time grew with the square of the length, these took 5 to 15 s. */
test.for([
  { name: 'maps that do not end', text: '{a: '.repeat(32 * 1024) },
  { name: 'lists that do not end', text: '['.repeat(128 * 1024) },
  { name: 'brackets that nothing opened', text: '}'.repeat(128 * 1024) },
  { name: 'tags without a value', text: '! '.repeat(64 * 1024) },
  { name: 'commas in a list', text: `[${','.repeat(128 * 1024)}]` },
  { name: 'keys', text: Array.from({ length: 20_000 }, (_, index) => `k${index}:`).join('\n') },
  { name: 'one key again and again', text: 'a:\n'.repeat(40_000) },
])('a large text is read in reasonable time: $name', ({ text }) => {
  const before = process.threadCpuUsage()
  const read = readYaml(text)
  const { user, system } = process.threadCpuUsage(before)
  expect((user + system) / 1_000_000).toBeLessThan(4)
  expect('problems' in read ? read.problems.length : 0).toBeLessThanOrEqual(20)
})
