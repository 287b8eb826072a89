import { Argument, type Command } from 'commander'
import { completionScript, SHELLS, type Shell } from '../completion/completion-script.ts'
import type { CommandContext } from './command-context.ts'

export function addCompletionCommand(program: Command, context: CommandContext): void {
  program
    .command('completion')
    .summary('a script that completes the command line')
    .description(
      'Prints a script for your shell: source <(countersign completion bash); countersign completion fish | source.',
    )
    .addArgument(new Argument('<shell>', 'your shell').choices(SHELLS))
    .action((shell: Shell) => {
      context.out.write(completionScript(program, shell))
    })
}
