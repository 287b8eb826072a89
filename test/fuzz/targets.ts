import { globSync } from 'node:fs'
import { join } from 'node:path'
import type { DefinedTarget } from './harness.ts'

/** Every target there is: each `*.fuzz.ts` beside this file exports one as `target`. */
export async function loadTargets(): Promise<DefinedTarget[]> {
  const files = globSync('*.fuzz.ts', { cwd: import.meta.dirname }).sort()
  const modules = await Promise.all(files.map((file) => import(join(import.meta.dirname, file)) as Promise<unknown>))
  return modules.map((module) => (module as { target: DefinedTarget }).target)
}
