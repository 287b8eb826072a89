import { expect, test } from 'vitest'
import { seconds } from './time.ts'

test.for([
  [300, '0.3 s'],
  [-1_540, '-1.5 s'],
  [-40, '0.0 s'],
  [0, '0.0 s'],
] as const)('%i ms are %s', ([milliseconds, text]) => expect(seconds(milliseconds)).toBe(text))
