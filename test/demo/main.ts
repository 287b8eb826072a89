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

let isOver = false
function run(name: string, args: readonly string[]): DemoProcess {
  // What was being shown when it was interrupted goes on a little: it must not start what nobody would stop.
  if (isOver) throw new Error('the demonstration is over')
  const died = (who: string) =>
    interrupted.reject(new Error(`${who} ended; its log: ${world.path('logs', `${who}.log`)}`))
  const process = start(name, args, world.path('logs', `${name}.log`), died)
  processes.push(process)
  return process
}

/** Why it ends before its end, where that is its viewer's doing and nothing has failed. */
let leftBy: string | undefined
function leave(why: string): void {
  leftBy ??= why
  interrupted.reject(new Error(why))
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => leave('interrupted'))
// `| head` has seen enough.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => leave('nobody reads on'))

try {
  const show = values.cluster ? (await import('./on-cluster.ts')).onCluster : embedded
  await Promise.race([show({ world, report, run }), interrupted.promise])
  if (values.keep) {
    process.stderr.write('everything goes on running; Ctrl-C ends it\n')
    await interrupted.promise.catch(() => {})
  }
} catch (error) {
  process.exitCode = 1
  if (leftBy !== undefined) process.stderr.write(`the demonstration was ended: ${leftBy}\n`)
  else process.stderr.write(`the demonstration failed: ${(error as Error).message}\nlogs: ${world.path('logs')}\n`)
} finally {
  isOver = true
  await Promise.all(processes.map((process) => process.stop()))
  // The logs of a failure are worth keeping; keys and tokens are not.
  const hasFailed = process.exitCode === 1 && leftBy === undefined
  world.remove(hasFailed ? ['logs'] : [])
}
