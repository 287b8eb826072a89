import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'

/** What a command led to. */
export interface ShellResult {
  readonly exitCode: number
  /** Standard output and error as they came, without colours. */
  readonly printed: string
}

/** A shell that is typed into: what one command sets, such as a variable or a function, the next one has. */
export class ShellSession {
  readonly #shell: ChildProcessWithoutNullStreams
  #printed = ''

  constructor(env: NodeJS.ProcessEnv) {
    this.#shell = spawn('bash', ['--noprofile', '--norc'], { env })
    for (const stream of [this.#shell.stdout, this.#shell.stderr]) {
      stream.setEncoding('utf8')
      stream.on('data', (text: string) => (this.#printed += text))
    }
  }

  /** @throws `Error` with all that was printed, if the command has not ended in time. */
  async run(command: string, timeoutMs: number): Promise<ShellResult> {
    const mark = `done-${randomUUID()}`
    this.#printed = ''
    // Programs are not to read what is typed next.
    this.#shell.stdin.write(`{ ${command}\n} < /dev/null 2>&1; echo "${mark} $?"\n`)
    const end = performance.now() + timeoutMs
    for (;;) {
      const [, before = '', exitCode] = new RegExp(`^([\\s\\S]*?)${mark} (\\d+)\\n`).exec(this.#printed) ?? []
      if (exitCode !== undefined) return { exitCode: Number(exitCode), printed: before }
      if (performance.now() > end) throw new Error(`it did not end in time: ${command}\n${this.#printed}`)
      await delay(50)
    }
  }

  end(): void {
    this.#shell.kill('SIGKILL')
  }
}
