import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { ERROR_CODES, type ErrorCode } from '../core/runtime/error-codes.ts'
import { PLACES, TROUBLESHOOTING } from '../docs/troubleshooting-entries.ts'

const document = readFileSync('docs/troubleshooting.md', 'utf8')
const codes = Object.keys(ERROR_CODES) as ErrorCode[]

test('docs/troubleshooting.md has every code once, and no other', () => {
  const sections = Array.from(document.matchAll(/^### `(\w+)`$/gm), ([, code]) => code)
  expect(sections).toEqual(codes)
  expect(Object.keys(TROUBLESHOOTING).toSorted()).toEqual(codes.toSorted())
})

test.for(codes)('the section of %s says where it is met, what it means, what to do, and more than that', (code) => {
  const section = document.split(/^#+ /m).find((text) => text.startsWith(`\`${code}\`\n`)) ?? ''
  const { meaning, remedy } = ERROR_CODES[code]
  const words = (text: string) => text.replaceAll(/[\\_*]/g, '').replaceAll(/\s+/g, ' ')
  expect(words(section)).toContain(words(meaning))
  expect(words(section)).toContain(words(remedy))
  const { met, text } = TROUBLESHOOTING[code] ?? { met: [], text: '' }
  expect(met.length).toBeGreaterThan(0)
  for (const place of met) expect(words(section)).toContain(words(PLACES[place]))
  expect(words(section)).toContain(words(text))
})
