import type { Command } from 'commander'
import type { Clock } from '../../core/runtime/clock.ts'
import type { Exit } from '../exit/exit-code.ts'
import type { Terminal } from '../output/terminal.ts'
import type { Session } from '../session/session.ts'

/** What a command is run with. */
export interface CommandContext {
  readonly out: Terminal
  readonly clock: Clock
  /** What the person wrote to call the program, for its help; default: `countersign`. */
  readonly calledAs?: string | undefined
  /** What the global flags lead to; closed when the command ends. */
  session(command: Command): Session
  /** How the program ends, if not well. */
  end(exit: Exit): void
}
