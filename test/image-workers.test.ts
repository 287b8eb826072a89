import { globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { WORKERS } from '../deploy/image/programs.ts'

test('every file that a program starts as a worker thread is in the image', () => {
  const sources = globSync('{core,broker,agent,cli}/**/*.ts').filter((file) => !file.endsWith('.test.ts'))
  const started = sources.flatMap((file) =>
    Array.from(readFileSync(file, 'utf8').matchAll(/new Worker\(new URL\(`\.\/([\w-]+)\$\{/g), ([, name = '']) => [
      name,
      join(dirname(file), `${name}.ts`),
    ]),
  )
  expect(started.length).toBeGreaterThan(0)
  expect(Object.fromEntries(started)).toEqual(WORKERS)
})
