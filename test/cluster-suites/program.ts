import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

/** A line of a program's log. */
export type LogLine = Readonly<Record<string, unknown>>

/** Most lines that are kept in memory; all are in the file. */
const MAX_LINES = 10_000
const STOP_MS = 20_000

/** A process that prints one JSON object per line, on either stream. */
export class Program {
  readonly name: string
  readonly lines: LogLine[] = []
  readonly #child: ChildProcess
  readonly #logFile: string
  readonly #watchers = new Set<() => void>()
  #hasEnded = false

  constructor(name: string, child: ChildProcess, logFile: string) {
    this.name = name
    this.#child = child
    this.#logFile = logFile
    const file = createWriteStream(logFile, { flags: 'a' })
    for (const stream of [child.stdout, child.stderr]) {
      if (!stream) continue
      createInterface({ input: stream }).on('line', (line) => {
        file.write(`${line}\n`)
        this.#keep(line)
      })
    }
    child.once('error', () => this.#ended())
    child.once('close', () => {
      file.end()
      this.#ended()
    })
  }

  get pid(): number {
    return this.#child.pid ?? -1
  }

  get isRunning(): boolean {
    return !this.#hasEnded
  }

  /** The first line, said or yet to come, of which `is` is true. Fails once the program has ended without it. */
  async until(is: (line: LogLine) => boolean, timeout = 20_000): Promise<LogLine> {
    const { promise, resolve, reject } = Promise.withResolvers<LogLine>()
    const look = () => {
      const found = this.lines.find(is)
      if (found) resolve(found)
      else if (this.#hasEnded) reject(new Error(`${this.name} has ended: see ${this.#logFile}\n${this.#lastWords()}`))
    }
    const late = () => reject(new Error(`${this.name} did not say it in ${timeout} ms: see ${this.#logFile}`))
    const timer = setTimeout(late, timeout)
    this.#watchers.add(look)
    try {
      look()
      return await promise
    } finally {
      clearTimeout(timer)
      this.#watchers.delete(look)
    }
  }

  /** SIGKILL, as in a crash. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** SIGTERM, and SIGKILL if that does not do. */
  async stop(): Promise<void> {
    const stopped = this.#end('SIGTERM')
    const late = new AbortController()
    await Promise.race([stopped, sleep(STOP_MS, undefined, { signal: late.signal }).catch(() => undefined)])
    late.abort()
    if (!this.#hasEnded) await this.kill()
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    if (this.#hasEnded) return
    const closed = once(this.#child, 'close')
    this.#child.kill(signal)
    await closed
  }

  #keep(line: string): void {
    this.lines.push(parsed(line))
    if (this.lines.length > MAX_LINES) this.lines.shift()
    for (const look of this.#watchers) look()
  }

  #ended(): void {
    this.#hasEnded = true
    for (const look of this.#watchers) look()
  }

  #lastWords(): string {
    return this.lines
      .slice(-5)
      .map((line) => JSON.stringify(line))
      .join('\n')
  }
}

function parsed(line: string): LogLine {
  try {
    const value: unknown = JSON.parse(line)
    if (typeof value === 'object' && value !== null) return value as LogLine
  } catch {
    // Not every word of a crash is JSON.
  }
  return { text: line }
}
