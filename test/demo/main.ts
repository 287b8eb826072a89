/**
 * The demonstration: `npm run demo` (see README.md). `--json` prints one object per step, `--keep` leaves everything
 * running until Ctrl-C, `--cluster` shows the same with pods on the test cluster.
 */
import { readdirSync } from 'node:fs'
import { readFlags } from '../flags.ts'
import { embedded, type Stage } from './embedded.ts'
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
const seenEnough = Promise.withResolvers<void>()
const viewer = new AbortController()
const show = createReport(values.json ?? false, performance.now())

let isOver = false
let isStaying = false
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
  if (isStaying) return seenEnough.resolve()
  leftBy ??= why
  const reason = new Error(why)
  viewer.abort(reason)
  interrupted.reject(reason)
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => leave('interrupted'))
// `| head` has seen enough.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => leave('nobody reads on'))

async function stay(): Promise<void> {
  if (!values.keep) return
  isStaying = true
  process.stderr.write('everything goes on running; Ctrl-C ends it\n')
  await seenEnough.promise
}

/** To one who has left, nothing is shown; only what goes wrong. */
const unlessLeft =
  <T>(tell: (what: T) => void) =>
  (what: T): void => {
    if (leftBy === undefined) tell(what)
  }
const stage: Stage = {
  world,
  run,
  stay,
  report: unlessLeft(show),
  log: unlessLeft((line) => process.stderr.write(`${line}\n`)),
  signal: viewer.signal,
  isKept: values.keep ?? false,
}

const shown = values.cluster ? import('./on-cluster.ts').then(({ onCluster }) => onCluster(stage)) : embedded(stage)
try {
  await Promise.race([shown, interrupted.promise])
} catch (error) {
  process.exitCode = 1
  const end = values.cluster ? '; cleaning up …' : ''
  if (leftBy !== undefined) process.stderr.write(`the demonstration was ended: ${leftBy}${end}\n`)
  else process.stderr.write(`the demonstration failed: ${(error as Error).message}\n${whereLogsAre()}`)
} finally {
  isOver = true
  await Promise.all(processes.map((process) => process.stop()))
  // It has a cluster to leave as it was.
  if (values.cluster) await shown.catch(tellUnlessLeaving)
  // The logs of a failure are worth keeping; keys and tokens are not.
  const hasFailed = process.exitCode === 1 && leftBy === undefined
  world.remove(hasFailed && whereLogsAre() !== '' ? ['logs'] : [])
}

function whereLogsAre(): string {
  const folder = world.path('logs')
  return readdirSync(folder).length === 0 ? '' : `logs: ${folder}\n`
}

function tellUnlessLeaving(error: unknown): void {
  if (leftBy !== undefined && error !== viewer.signal.reason)
    process.stderr.write(`cleaning up: ${(error as Error).message}\n`)
}
