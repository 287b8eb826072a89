import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ON_TURN, findCluster } from './attach.ts'
import { elapsed, logToStderr as log } from './base/log.ts'
import { cleanUp } from './clean-up.ts'
import { checkInterruptions, checkLeftNothing } from './end-checks.ts'
import { interruption } from './interruption.ts'
import { takeSnapshot } from './leftovers.ts'
import { keepLogs } from './logs.ts'
import { whileOnTurn } from './machine/lock.ts'
import { ensurePackages } from './machine/packages.ts'
import { startCluster } from './start.ts'

/*
 * `npm run test:cluster [-- <vitest arguments>]`: installs and builds what is missing, starts a cluster, runs the
 * `cluster` project, stops the cluster, looks whether it left anything behind, and says how many tests passed.
 * `npm run test:platform` does the same with the project of that name.
 */

interface Counts {
  passed: number
  failed: number
}

const VITEST = join(import.meta.dirname, '..', '..', 'node_modules', 'vitest', 'vitest.mjs')

/** What the two runners differ in; how a cluster ends is looked at by the first. */
const PROJECTS = ['cluster', 'platform'] as const

async function main(project: string, args: readonly string[], signal: AbortSignal): Promise<Counts> {
  if (await findCluster('detached')) {
    log('a test cluster is up: using it, and leaving it up; what a stopped cluster leaves behind is not looked at')
    return runVitest(project, args, signal)
  }
  // What Debian's packages bring is no leftover of a cluster.
  await ensurePackages(log)
  // Nor is what a run left that was killed, which the start would undo after we have looked.
  await cleanUp()
  const before = await takeSnapshot()
  const cluster = await startCluster({ log, signal, onTurn: true })
  let counts: Counts = { passed: 0, failed: 1 }
  try {
    counts = await runVitest(project, args, signal)
    if (counts.failed > 0) log(`the components' logs are kept in ${(await keepLogs()) ?? 'no folder'}`)
  } finally {
    const start = performance.now()
    await cluster.stop()
    log(`the cluster is down (${elapsed(start)})`)
  }
  const leftNothing = await checkLeftNothing('down', before)
  const interruptions = project === 'cluster' ? await checkInterruptions(before, signal) : []
  const own = [leftNothing, ...interruptions]
  const failed = own.filter((passed) => !passed).length
  return { passed: counts.passed + own.length - failed, failed: counts.failed + failed }
}

async function runVitest(project: string, args: readonly string[], signal: AbortSignal): Promise<Counts> {
  const folder = await mkdtemp(join(tmpdir(), 'vitest-'))
  try {
    const report = join(folder, 'report.json')
    const reporters = ['--reporter=verbose', '--reporter=json', `--outputFile=${report}`]
    const code = await exitCode(process.execPath, [VITEST, 'run', '--project', project, ...reporters, ...args], signal)
    const { numPassedTests: passed, numFailedTests: failed } = await readReport(report)
    // A file that cannot be loaded, or an error outside any test, fails the run but no test.
    return { passed, failed: code !== 0 && failed === 0 ? 1 : failed }
  } finally {
    await rm(folder, { recursive: true })
  }
}

async function readReport(path: string): Promise<{ numPassedTests: number; numFailedTests: number }> {
  const text = await readFile(path, 'utf8').catch(() => undefined)
  return text === undefined ? { numPassedTests: 0, numFailedTests: 0 } : (JSON.parse(text) as never)
}

function exitCode(command: string, args: readonly string[], signal: AbortSignal): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'inherit', env: { ...process.env, [ON_TURN]: '1' } })
    const stop = (): boolean => child.kill('SIGTERM')
    signal.addEventListener('abort', stop)
    child.on('error', reject)
    child.on('close', (code) => {
      signal.removeEventListener('abort', stop)
      resolve(code ?? 1)
    })
  })
}

let counts: Counts = { passed: 0, failed: 1 }
try {
  const signal = interruption()
  const [first, ...more] = process.argv.slice(2)
  const project = PROJECTS.find((name) => first === `--project=${name}`)
  const args = project ? more : process.argv.slice(2)
  counts = await whileOnTurn(log, signal, () => main(project ?? 'cluster', args, signal))
} catch (error) {
  log(error instanceof Error ? error.message : String(error))
}
process.stdout.write(`${counts.passed} passed, ${counts.failed} failed\n`)
process.exit(counts.failed === 0 ? 0 : 1)
