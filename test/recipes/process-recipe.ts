import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { vi } from 'vitest'

/** One fenced block of a document. */
export interface Block {
  /** What stands behind the fence: `sh`, `yaml`, `sh process`… */
  readonly kind: string
  readonly text: string
}

const PORTS = ['8443', '9090', '9091']
const PATIENCE = { timeout: 20_000, interval: 50 }

/**
 * Follows a document's commands to the letter, with real processes, in a home, a tmpfs and on ports of its own. Programs
 * that stay go to the background, as their reader would have it.
 */
export class ProcessRecipe {
  readonly home = mkdtempSync(join(tmpdir(), 'recipe-'))
  readonly output = mkdtempSync('/dev/shm/recipe-')
  readonly #ports: readonly number[]
  /** What runs, by the line that started it. */
  readonly #running = new Map<string, ChildProcess>()
  readonly #said = new Map<string, string>()

  private constructor(ports: readonly number[]) {
    this.#ports = ports
  }

  static async make(): Promise<ProcessRecipe> {
    return new ProcessRecipe(await freePorts(PORTS.length))
  }

  /** The blocks of a document, with our home, tmpfs and ports in place of the reader's. */
  blocksOf(document: string): readonly Block[] {
    const text = readFileSync(document, 'utf8')
      .replaceAll('/home/me', this.home)
      .replaceAll('/dev/shm/countersign', this.output)
      .replaceAll(/(?<=127\.0\.0\.1:)(8443|9090|9091)/g, (port) => String(this.#ports[PORTS.indexOf(port)]))
    return Array.from(text.matchAll(/^```([a-z ]+)\n([\s\S]*?)^```$/gm), ([, kind = '', body = '']) => ({
      kind,
      text: body,
    }))
  }

  /** Writes a file whose name is its first line. */
  write({ text }: Block): void {
    const name = /^# ~\/(\S+)\n/.exec(text)?.[1]
    if (name === undefined) throw new Error(`a file of the recipe has no name: ${text}`)
    mkdirSync(dirname(join(this.home, name)), { recursive: true })
    writeFileSync(join(this.home, name), text)
  }

  /** Follows each line; comments that tell to stop or start the broker are followed, too. @returns what was printed. */
  async follow({ text }: Block): Promise<string> {
    let printed = ''
    for (const line of text.trim().split('\n')) {
      if (line === '# stop the broker') await this.stop('broker/main.ts')
      else if (line === '# start the broker') await this.startAgain('broker/main.ts')
      else if (/main\.ts --config|token-issuer\.ts/.test(line)) await this.#start(line)
      else if (!line.startsWith('#')) printed += this.run(line)
    }
    return printed
  }

  /** Runs a command in our home. */
  run(line: string): string {
    const options = { env: { ...process.env, HOME: this.home }, timeout: 20_000, encoding: 'utf8' } as const
    return execFileSync('bash', ['-c', ourNode(line)], options)
  }

  /** Ends the program with SIGTERM, and waits for it. */
  async stop(program: string): Promise<void> {
    const line = this.#lineOf(program)
    const child = this.#running.get(line)
    this.#running.delete(line)
    if (child?.exitCode === null && child.kill('SIGTERM')) await new Promise((resolve) => child.once('exit', resolve))
  }

  async startAgain(program: string): Promise<void> {
    await this.#start(this.#lineOf(program))
  }

  /** Starts a program that is to fail. @returns its exit code, and all that it said. */
  async startInVain(program: string): Promise<{ readonly exitCode: number | null; readonly said: string }> {
    const line = this.#lineOf(program)
    const child = this.#spawn(line)
    await vi.waitUntil(() => child.exitCode !== null, PATIENCE)
    this.#running.delete(line)
    return { exitCode: child.exitCode, said: this.#said.get(line) ?? '' }
  }

  /** What the program has said since its last start. */
  said(program: string): string {
    return this.#said.get(this.#lineOf(program)) ?? ''
  }

  async end(): Promise<void> {
    await Promise.all(Array.from(this.#running.keys(), (line) => this.stop(line)))
    for (const folder of [this.home, this.output]) rmSync(folder, { recursive: true, force: true })
  }

  #lineOf(program: string): string {
    const line = [...this.#said.keys()].find((started) => started.includes(program))
    if (line === undefined) throw new Error(`${program} was never started`)
    return line
  }

  async #start(line: string): Promise<void> {
    this.#spawn(line)
    const isUp = () => /"(msg|event)":"(ready|started)"/.test(this.#said.get(line) ?? '')
    await vi.waitUntil(isUp, PATIENCE).catch((cause: unknown) => {
      throw new Error(`it did not start: ${line}\n${this.#said.get(line) ?? ''}`, { cause })
    })
  }

  #spawn(line: string): ChildProcess {
    const child = spawn('bash', ['-c', `exec ${ourNode(line)}`], {
      env: { ...process.env, HOME: this.home },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#running.set(line, child)
    this.#said.set(line, '')
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (text: Buffer) => this.#said.set(line, `${this.#said.get(line) ?? ''}${text.toString()}`))
    }
    return child
  }
}

function ourNode(line: string): string {
  return line.replace(/^npx node\b/, JSON.stringify(process.execPath))
}

async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer()
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      return server
    }),
  )
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}
