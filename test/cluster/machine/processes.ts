import { type ChildProcess, spawn, type StdioOptions } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { throwIfAborted } from '../base/cancellation.ts'
import { LOG_DIR, PROCESS_DIR } from '../layout.ts'
import { processCgroup } from './cgroups.ts'
import { identify, isAlive, type ProcessId, terminate } from './process-table.ts'

export interface Placement {
  /** A process whose mount namespace is entered. */
  mountOf?: number
  /** A process whose network namespace is entered. */
  networkOf?: number
  /** Default `/`. */
  cwd?: string
  env?: NodeJS.ProcessEnv
}

/**
 * Starts `command` in the cluster's cgroup and the given namespaces. Every step on the way is an `exec`, so the
 * child's number is the command's own.
 */
export function spawnPlaced(
  command: string,
  args: readonly string[],
  placement: Placement,
  stdio: StdioOptions,
): ChildProcess {
  const { env = process.env } = placement
  const enter = enterCommand(placement)
  // `exec` of the last argument list; `$0` is the file that takes the number.
  const script = 'echo $$ > "$0" && exec "$@"'
  return spawn('sh', ['-c', script, join(processCgroup(), 'cgroup.procs'), ...enter, command, ...args], {
    env,
    stdio,
    // Its own process group: Ctrl-C in a terminal is for us to handle, in order.
    detached: true,
  })
}

/** The command line that runs what follows it in the namespaces of `placement`. */
export function enterCommand({ mountOf, networkOf, cwd = '/' }: Placement): string[] {
  const namespaces: string[] = []
  if (mountOf !== undefined) namespaces.push(`--mount=/proc/${mountOf}/ns/mnt`)
  if (networkOf !== undefined) namespaces.push(`--net=/proc/${networkOf}/ns/net`)
  // Entering a mount namespace changes the working directory to its root.
  return [...(namespaces.length > 0 ? ['nsenter', ...namespaces, '--'] : []), 'env', '-C', cwd]
}

/** Starts a component that outlives this process, writes its log, and remembers it by name. */
export async function startComponent(
  name: string,
  command: string,
  args: readonly string[],
  placement: Placement,
): Promise<ProcessId> {
  throwIfAborted()
  // A second one would end by itself, but the first would be forgotten, and never be stopped.
  if (await isComponentRunning(name)) throw new Error(`${name} is running already`)
  await mkdir(LOG_DIR, { recursive: true })
  await mkdir(PROCESS_DIR, { recursive: true })
  const log = openSync(logFile(name), 'a')
  const child = spawnPlaced(command, args, placement, ['ignore', log, log])
  closeSync(log)
  child.unref()
  child.on('error', () => undefined)
  const started = child.pid === undefined ? undefined : await identify(child.pid)
  if (!started) throw new Error(`${name} did not start: see ${logFile(name)}`)
  await writeFile(join(PROCESS_DIR, name), JSON.stringify(started))
  return started
}

/** Stops a component and returns once it is gone. */
export async function stopComponent(name: string, grace: number): Promise<void> {
  const found = await component(name)
  if (found) await terminate(found, grace)
}

export async function isComponentRunning(name: string): Promise<boolean> {
  const found = await component(name)
  return found !== undefined && (await isAlive(found))
}

async function component(name: string): Promise<ProcessId | undefined> {
  const text = await readFile(join(PROCESS_DIR, name), 'utf8').catch(() => undefined)
  return text === undefined ? undefined : (JSON.parse(text) as ProcessId)
}

export function logFile(name: string): string {
  return join(LOG_DIR, `${name}.log`)
}
