import { type Command, CommanderError } from 'commander'
import type { Clock } from '../core/runtime/clock.ts'
import { IdentityError } from '../core/runtime/errors.ts'
import { printable } from '../core/runtime/printable.ts'
import { EXIT, type Exit, exitOf } from './exit/exit-code.ts'
import { remedyOf } from './exit/remedy.ts'
import type { Terminal } from './output/terminal.ts'
import { buildProgram } from './program.ts'
import { type GlobalFlags, globalOptions } from './session/options.ts'
import { Session } from './session/session.ts'

/** What the program touches of the world. */
export interface Io {
  readonly out: Terminal
  readonly err: Terminal
  readonly clock: Clock
  /** What the person wrote to call the program; default: `countersign`. */
  readonly calledAs?: string
}

/** Runs a command line; returns the exit code. */
export async function run(args: readonly string[], { out, err, clock, calledAs }: Io): Promise<number> {
  const sessions: Session[] = []
  let exit: Exit = 'good'
  const program = buildProgram({
    out,
    clock,
    calledAs,
    session(command) {
      const session = new Session(globalOptions(command.optsWithGlobals<GlobalFlags>()), clock)
      sessions.push(session)
      return session
    },
    end: (how) => (exit = how),
  })
  forEachCommand(program, (command) =>
    command
      .exitOverride()
      .configureOutput({ writeOut: (text) => out.write(text), writeErr: (text) => err.write(text) }),
  )
  try {
    await program.parseAsync([...args], { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError) exit = error.exitCode === 0 ? 'good' : 'usage'
    else {
      err.write(`${printable(errorText(error))}\n`)
      exit = exitOf(error)
    }
  } finally {
    for (const session of sessions) session.close()
  }
  return EXIT[exit].code
}

function errorText(error: unknown): string {
  // What is no refusal is a bug, and worth its stack.
  if (!(error instanceof IdentityError)) return String((error as Error).stack)
  const remedy = remedyOf(error)
  return `${error.code}: ${error.message}${remedy === undefined ? '' : `\n→ ${remedy}`}`
}

function forEachCommand(command: Command, act: (command: Command) => void): void {
  act(command)
  for (const child of command.commands) forEachCommand(child, act)
}
