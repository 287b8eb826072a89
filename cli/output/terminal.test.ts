import { expect, test } from 'vitest'
import { printable, printableLine } from '../../core/runtime/printable.ts'
import { jsonText } from './json.ts'
import { table } from './table.ts'

test.for([
  { name: 'the escape character', text: '\u001B[2J' },
  { name: 'carriage returns', text: '\rok' },
  { name: 'control characters of one octet', text: '\u009B2J' },
  { name: 'changes of direction', text: '\u202Egnp' },
])('$name never reaches a terminal, as text or as JSON', ({ text }) => {
  // oxlint-disable-next-line no-control-regex
  const dangerous = /[\u0000-\u0009\u000B-\u001F\u007F-\u009F\u202A-\u202E\u2066-\u2069]/
  expect(printable(text)).not.toMatch(dangerous)
  expect(printableLine(text)).not.toMatch(dangerous)
  expect(jsonText({ text })).not.toMatch(dangerous)
  expect(JSON.parse(jsonText({ text }))).toEqual({ text })
})

test('a line is one line', () => {
  expect(printableLine('one\n  two\r\nthree')).toBe('one two three')
  // Of whatever length: whoever writes an event chooses it.
  expect(printableLine(`${' '.repeat(1_000_000)}x\n`)).toBe('x')
  expect(table(['NAME', 'AGE'], [['cart\nforged   1d', '5m']]).split('\n')).toHaveLength(3)
})
