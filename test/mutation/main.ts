/**
 * Removes each guarding line in a copy of the project and sees the test that names its invariant turn red: proof that
 * the tests of the invariants can fail, and fail for the right reason.
 *
 *     npm run test:mutation                 all guards
 *     npm run test:mutation -- 'invariant 4'  those whose name contains this
 */
import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { ATTACK_GUARDS } from './attack-guards.ts'
import { BROKER_GUARDS } from './broker-guards.ts'
import { DELIVERY_GUARDS } from './delivery-guards.ts'
import { FLOOD_GUARDS } from './flood-guards.ts'
import type { Guard } from './guard.ts'
import { GUARDS } from './guards.ts'

const root = join(import.meta.dirname, '..', '..')
const wanted = process.argv[2] ?? ''
/** As many as the fast suite has. */
const WORKERS = 2

/** The titles of the tests that failed, or undefined when the run itself broke (which proves nothing). */
function failedTests(copy: string, file: string): Promise<readonly string[] | undefined> {
  const report = join(copy, 'report.json')
  rmSync(report, { force: true })
  const args = ['vitest', 'run', '--project', 'fast', '--reporter=json', `--outputFile=${report}`, file]
  return new Promise((resolve) => {
    execFile('npx', args, { cwd: copy, timeout: 120_000, env: { ...process.env, CI: '1' } }, () => {
      try {
        const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as { testResults: SuiteReport[] }
        const tests = testResults.flatMap(({ assertionResults }) => assertionResults)
        resolve(
          tests.length === 0
            ? undefined
            : tests.filter(({ status }) => status === 'failed').map((test) => test.fullName),
        )
      } catch {
        resolve(undefined)
      }
    })
  })
}

interface SuiteReport {
  readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[]
}

/** What is wrong with the guard or its test; undefined when removing the one turns the other red. */
async function judge(copy: string, guard: Guard): Promise<string | undefined> {
  const file = join(copy, guard.file)
  const source = readFileSync(file, 'utf8')
  if (source.split(guard.find).length !== 2) return `the guarding text does not stand exactly once in ${guard.file}`
  if (!(await isGreen(copy, guard.test))) return `${guard.test} is not green to begin with`
  writeFileSync(
    file,
    source.replace(guard.find, () => guard.replace),
  )
  const after = await failedTests(copy, guard.test)
  writeFileSync(file, source)
  if (after === undefined) return `${guard.test} could not run without the guard: that proves nothing`
  if (!after.some((title) => title.includes(guard.title))) return `no test called '${guard.title}' turned red`
  return undefined
}

/** Each test file is seen green once, before anything is removed; a machine that is busy has a second try. */
const greens = new Map<string, Promise<boolean>>()
function isGreen(copy: string, file: string): Promise<boolean> {
  const look = async () => (await failedTests(copy, file))?.length === 0
  const known = greens.get(file) ?? look().then((green) => green || look())
  greens.set(file, known)
  return known
}

const copies: string[] = []
process.once('exit', () => copies.forEach((copy) => rmSync(copy, { recursive: true, force: true })))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

function copyOfProject(): string {
  const copy = mkdtempSync(join(tmpdir(), 'countersign-mutation-'))
  copies.push(copy)
  cpSync(root, copy, {
    recursive: true,
    filter: (source) => !/(?:^|\/)(?:node_modules|\.git|\.demo)$/.test(source.slice(dirname(root).length)),
  })
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
  return copy
}

let failed = 0
const guards = [...GUARDS, ...ATTACK_GUARDS, ...BROKER_GUARDS, ...DELIVERY_GUARDS, ...FLOOD_GUARDS].filter((guard) =>
  guard.invariant.includes(wanted),
)
/** Guards of one test file stay together: it is seen green in the copy in which it is to turn red. */
const waiting = [...Map.groupBy(guards, ({ test }) => test).values()].toSorted(
  (one, other) => other.length - one.length,
)

async function work(): Promise<void> {
  const copy = copyOfProject()
  for (let group = waiting.shift(); group; group = waiting.shift()) {
    for (const guard of group) {
      const problem = await judge(copy, guard)
      if (problem !== undefined) failed += 1
      process.stdout.write(
        `${problem === undefined ? 'ok  ' : 'FAIL'} ${guard.invariant} (${guard.file})${problem === undefined ? '' : `: ${problem}`}\n`,
      )
    }
  }
}

await Promise.all(Array.from({ length: WORKERS }, work))
process.stdout.write(`\n${guards.length - failed} passed, ${failed} failed\n`)
process.exitCode = failed > 0 || guards.length === 0 ? 1 : 0
