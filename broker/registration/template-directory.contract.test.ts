import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import { systemClock } from '../../core/runtime/system-clock.ts'
import { TemplateDirectory } from './template-directory.ts'
import { describeTemplateSource, RULES } from './template-source.contract.ts'

const stops: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
})

describeTemplateSource(async (templates) => {
  const directory = mkdtempSync(join(tmpdir(), 'templates-'))
  const file = (name: string) => join(directory, `${name}.yaml`)
  const write = (name: string, spec: object) =>
    Promise.resolve(
      writeFileSync(
        file(name),
        JSON.stringify({ apiVersion: 'countersign.dev/v1alpha1', kind: 'IdentityTemplate', metadata: { name }, spec }),
      ),
    )
  for (const [name, spec] of Object.entries(templates)) await write(name, spec)
  const source = await TemplateDirectory.open({ directory, rules: RULES, clock: systemClock, onProblems: () => {} })
  stops.push(async () => {
    await source.close()
    rmSync(directory, { recursive: true })
  })
  return { source, write, remove: (name) => Promise.resolve(rmSync(file(name))) }
})
