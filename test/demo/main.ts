/**
 * The demonstration: `npm run demo` (see README.md). `--json` prints one object per step, `--keep` leaves everything
 * running until Ctrl-C, `--cluster` shows the same with pods on the test cluster.
 */
import { readFlags } from '../flags.ts'
import { embedded } from './embedded.ts'
import { type DemoProcess, start } from './process.ts'
import { createReport } from './report.ts'
import { World } from './world.ts'

const USAGE = `usage: npm run demo -- [--json] [--keep] [--cluster]
  --json     one object per step (npm run --silent demo -- --json, for nothing else)
  --keep     leave everything running, to be looked at, until Ctrl-C
  --cluster  with pods on the test cluster: the one that is up, or one for the occasion (root)`

const boolean = { type: 'boolean' } as const
const values = readFlags({ json: boolean, keep: boolean, cluster: boolean }, USAGE)

const world = new World()
const processes: DemoProcess[] = []
const interrupted = Promise.withResolvers<never>()
const report = createReport(values.json ?? false, performance.now())

function run(name: string, args: readonly string[]): DemoProcess {
  const died = (who: string) =>
    interrupted.reject(new Error(`${who} ended; its log: ${world.path('logs', `${who}.log`)}`))
  const process = start(name, args, world.path('logs', `${name}.log`), died)
  processes.push(process)
  return process
}

for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => interrupted.reject(new Error('interrupted')))

try {
  const show = values.cluster ? (await import('./on-cluster.ts')).onCluster : embedded
  await Promise.race([show({ world, report, run }), interrupted.promise])
  if (values.keep) {
    process.stderr.write('everything goes on running; Ctrl-C ends it\n')
    await interrupted.promise.catch(() => {})
  }
} catch (error) {
  process.stderr.write(`the demonstration failed: ${(error as Error).message}\nlogs: ${world.path('logs')}\n`)
  process.exitCode = 1
} finally {
  await Promise.all(processes.map((process) => process.stop()))
  // The logs of a failure are worth keeping; keys are not.
  world.removeVolumes()
  if (process.exitCode === undefined || process.exitCode === 0) world.remove()
}
