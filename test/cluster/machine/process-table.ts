import { readdir, readFile, readlink } from 'node:fs/promises'
import { waitFor } from '../base/wait.ts'

/** One process, told apart from a later one of the same number by when it started. */
export interface ProcessId {
  pid: number
  startTime: string
}

/** The process that now has this number; `undefined` when there is none, or only its corpse. */
export async function identify(pid: number): Promise<ProcessId | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  const startTime = stat === undefined ? undefined : startTimeOfLiving(stat)
  return startTime === undefined ? undefined : { pid, startTime }
}

/**
 * When the process that `/proc/PID/stat` tells of was started; `undefined` when only its corpse is left.
 *
 * A corpse whose other threads still run is none: killed, they need a tenth of a second to let go of much memory, and
 * until then the process's sockets are bound. Whoever took its port as free got "address already in use".
 */
export function startTimeOfLiving(stat: string): string | undefined {
  // The name, in parentheses, may itself hold spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [state, threads, startTime] = [fields[0], Number(fields[17]), fields[19]]
  const isCorpse = state === 'X' || (state === 'Z' && threads <= 1)
  return isCorpse ? undefined : startTime
}

export async function isAlive({ pid, startTime }: ProcessId): Promise<boolean> {
  return (await identify(pid))?.startTime === startTime
}

export async function processesInMountNamespace(namespace: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const namespaces = await Promise.all(pids.map((pid) => readlink(`/proc/${pid}/ns/mnt`).catch(() => undefined)))
  return pids.filter((pid, index) => pid !== process.pid && namespaces[index] === namespace)
}

/** Sends `signal` to each process, and does not mind those that are gone. */
export function signalAll(pids: Iterable<number>, signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
}

/** Asks with `SIGTERM`, insists with `SIGKILL` after `grace` milliseconds, and returns once the process is gone. */
export async function terminate(process: ProcessId, grace: number): Promise<void> {
  const gone = async (): Promise<boolean> => !(await isAlive(process))
  if (await gone()) return
  if (grace > 0) {
    signalAll([process.pid], 'SIGTERM')
    const ended = await waitFor('the process to end', gone, { timeout: grace, interval: 20 }).catch(() => false)
    if (ended) return
  }
  signalAll([process.pid], 'SIGKILL')
  await waitFor(`process ${process.pid} to end`, gone, { timeout: 10_000, interval: 20 })
}
