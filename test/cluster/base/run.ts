import { spawn } from 'node:child_process'

export interface RunOptions {
  stdin?: string
  env?: NodeJS.ProcessEnv
  cwd?: string
  /** Milliseconds until the command is killed and the call fails. Default 60 000. */
  timeout?: number
  /** Kills the command and fails the call once it is aborted. */
  signal?: AbortSignal
}

export interface RunResult {
  /** Exit code; `-1` when a signal ended the command. */
  code: number
  stdout: string
  stderr: string
}

/** Runs `command` to its end, whatever its exit code. Fails only when it cannot be started or takes too long. */
export function tryRun(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const { stdin, env, cwd, timeout = 60_000, signal } = options
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env: env ?? process.env, cwd, stdio: ['pipe', 'pipe', 'pipe'], signal })
    let stdout = ''
    let stderr = ''
    let timedOut = false
    const timer = setTimeout(() => {
      timedOut = true
      child.kill('SIGKILL')
    }, timeout)
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk))
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk))
    child.on('error', (error) => {
      clearTimeout(timer)
      reject(error)
    })
    child.on('close', (code) => {
      clearTimeout(timer)
      if (timedOut) reject(new Error(`${shown(command, args)} took longer than ${timeout / 1000} s\n${stderr}`))
      else resolve({ code: code ?? -1, stdout, stderr })
    })
    // A command that does not read its input closes the pipe; its exit code tells what happened.
    child.stdin.on('error', () => undefined)
    child.stdin.end(stdin)
  })
}

/** Runs `command` and returns what it wrote to stdout. Fails, with what it wrote to stderr, unless it exits 0. */
export async function run(command: string, args: readonly string[], options?: RunOptions): Promise<string> {
  const { code, stdout, stderr } = await tryRun(command, args, options)
  if (code !== 0) throw new Error(`${shown(command, args)} exited ${code}\n${stderr.trim() || stdout.trim()}`)
  return stdout
}

function shown(command: string, args: readonly string[]): string {
  return [command, ...args].join(' ').slice(0, 300)
}
