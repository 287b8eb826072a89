import { expect, test } from 'vitest'
import { formatDuration, parseDuration } from './duration.ts'

test.for([
  ['500ms', 500],
  ['90s', 90_000],
  ['30m', 1_800_000],
  ['1h30m', 5_400_000],
  ['14d', 1_209_600_000],
  ['0s', 0],
] as const)('%s is %d ms', ([text, milliseconds]) => {
  expect(parseDuration(text)).toBe(milliseconds)
  expect(parseDuration(formatDuration(milliseconds))).toBe(milliseconds)
})

test.for(['', '5', '5 m', '-5m', '1.5h', '5M', 'm', '5mm', '5m x'])('refuses %j', (text) => {
  expect(() => parseDuration(text)).toThrow(expect.objectContaining({ code: 'config_invalid' }))
})
