import { spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'

/** What a process has said, one JSON object per line. */
export type Said = Readonly<Record<string, unknown>>

/** A process of the demonstration. */
export interface DemoProcess {
  readonly name: string
  readonly pid: number
  /** Everything said so far, oldest first. */
  readonly said: readonly Said[]
  /** The next (or an earlier) line for which `is` holds; fails after `timeoutMs`, or when the process ends first. */
  until(is: (line: Said) => boolean, timeoutMs?: number): Promise<Said>
  /** Sends SIGTERM, then SIGKILL after five seconds. */
  stop(): Promise<void>
}

/** Most lines that are remembered of one process. */
const MAX_LINES = 5000

/**
 * Starts `node` with `args`; its standard output is read as JSON lines, its log goes to `logFile`.
 *
 * @param died told when the process ends without having been asked to.
 * @param environment beside our own.
 */
export function start(
  name: string,
  args: readonly string[],
  logFile: string,
  died: (name: string) => void,
  environment: Readonly<Record<string, string>> = {},
): DemoProcess {
  const env = { ...process.env, ...environment }
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], env })
  const log = createWriteStream(logFile, { flags: 'a' })
  child.stderr.pipe(log)
  const said: Said[] = []
  const listeners = new Set<() => void>()
  const notify = () => listeners.forEach((listener) => listener())
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      const parsed = parse(line)
      if (parsed === undefined) return
      said.push(parsed)
      if (said.length > MAX_LINES) said.shift()
      notify()
    })
  }
  let stopping = false
  let ended = false
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => {
      ended = true
      notify()
      resolve()
      if (!stopping) died(name)
    })
  })
  return {
    name,
    pid: child.pid ?? -1,
    said,
    until: (is, timeoutMs = 15_000) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(
          () => settle(() => reject(new Error(`${name} did not get there in ${timeoutMs} ms; see ${logFile}`))),
          timeoutMs,
        )
        const settle = (act: () => void) => {
          clearTimeout(timer)
          listeners.delete(look)
          act()
        }
        const look = () => {
          const found = said.findLast(is)
          if (found) settle(() => resolve(found))
          else if (ended) settle(() => reject(new Error(`${name} ended; see ${logFile}`)))
        }
        listeners.add(look)
        look()
      }),
    async stop() {
      stopping = true
      if (ended) return
      child.kill('SIGTERM')
      await Promise.race([exited, delay(5000, undefined, { ref: false })])
      if (!ended) child.kill('SIGKILL')
      await exited
    },
  }
}

function parse(line: string): Said | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? (value as Said) : undefined
  } catch {
    return undefined
  }
}
