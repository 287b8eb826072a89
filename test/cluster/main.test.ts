import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'

/** Runs `npm run cluster -- …` with what needs no cluster. */
function cluster(...args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [join(import.meta.dirname, 'main.ts'), ...args], (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    )
  })
}

test.for([
  { args: ['upp'], says: 'unknown command upp' },
  { args: [], says: 'a command is missing' },
  { args: ['up', 'now'], says: 'unknown argument now' },
  { args: ['down', '--forse'], says: 'unknown argument --forse' },
  { args: ['shell', 'node-c'], says: 'unknown node node-c' },
])('$args: $says, and how it is used', async ({ args, says }) => {
  const { code, stderr } = await cluster(...args)
  expect(code).toBe(2)
  expect(stderr).toMatch(new RegExp(`^${says}\nusage: `))
})

test.for([[['--help']], [['up', '--help']]])('%j: who asks for help gets it', async ([args = []]) => {
  expect(await cluster(...args)).toMatchObject({
    code: 0,
    stdout: expect.stringContaining("sh -c '… && …'") as unknown,
  })
})
