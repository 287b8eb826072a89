import { run } from '../../cli/run.ts'
import { systemClock } from '../../core/runtime/system-clock.ts'

/** What became of a command line. */
export interface CliEnd {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** Runs a command line in this process, as a script would: without colours. */
export async function runCli(args: readonly string[]): Promise<CliEnd> {
  let out = ''
  let err = ''
  const code = await run(args, {
    out: { write: (text) => (out += text), hasColour: false },
    err: { write: (text) => (err += text), hasColour: false },
    clock: systemClock,
  })
  return { code, out, err }
}
