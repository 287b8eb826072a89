import { type Command, CommanderError } from 'commander'
import type { Clock } from '../core/runtime/clock.ts'
import { IdentityError } from '../core/runtime/errors.ts'
import { EXIT, type Exit, exitOf } from './exit/exit-code.ts'
import { errorDocument, errorText } from './exit/error-report.ts'
import { jsonText } from './output/json.ts'
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
  // As it stands: a command line may be too wrong to be parsed.
  const isForPrograms = args.includes('--json')
  const writeErr = (text: string) => {
    if (!isForPrograms) err.write(text)
  }
  forEachCommand(program, (command) =>
    command.exitOverride().configureOutput({ writeOut: (text) => out.write(text), writeErr }),
  )
  try {
    await program.parseAsync([...args], { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.good.code
    const reason = error instanceof CommanderError ? commandLineError(error) : error
    exit = exitOf(reason)
    if (isForPrograms) err.write(jsonText(errorDocument(reason)))
    // Commander has written its own.
    else if (reason === error) err.write(errorText(reason))
  } finally {
    for (const session of sessions) session.close()
  }
  return EXIT[exit].code
}

function commandLineError({ code, message }: CommanderError): IdentityError {
  const what = code === 'commander.help' ? 'no command is given: --help says which there are' : message
  return new IdentityError('config_invalid', what.replace(/^error: /, ''))
}

function forEachCommand(command: Command, act: (command: Command) => void): void {
  act(command)
  for (const child of command.commands) forEachCommand(child, act)
}
