import { Command, Help } from 'commander'
import { addBundleCommand } from './commands/bundle.ts'
import { addCheckCommand } from './commands/check.ts'
import type { CommandContext } from './commands/command-context.ts'
import { addCompletionCommand } from './commands/completion.ts'
import { addExplainCommand } from './commands/explain.ts'
import { addIdentityCommand } from './commands/identity.ts'
import { addStatusCommand } from './commands/status.ts'
import { addSvidCommand } from './commands/svid.ts'
import { addVersionCommand } from './commands/version.ts'

const NAME = 'countersign'

/** The command line: what there is to say, and what each of it does. */
export function buildProgram(context: CommandContext): Command {
  const program = new Command(NAME)
    .description('Who has which identity in this cluster, why, and what is wrong when somebody has none.')
    .option('--kubeconfig <file>', 'the kubeconfig; default: as kubectl finds it')
    .option('--context <name>', 'the context of the kubeconfig')
    .option('-n, --namespace <name>', 'the namespace; default: that of the context')
    .option('--broker <host:port>', 'the broker’s admin API; default: by port-forward to its pod')
    .option('--trust-domain <name>', 'the trust domain; default: as its trust bundle says')
    .option('--bundle-file <file>', 'the trust bundle to know the broker by; default: that of the ConfigMap')
    .option('--token-file <file>', 'a token of the audience countersign.dev/<trust domain>/admin; default: one is made')
    .option('--request-timeout <duration>', 'for each request', '10s')
    .option('--json', 'for programs')
    .configureHelp({ showGlobalOptions: true, commandUsage: usageOf(context.calledAs ?? NAME) })
    .showHelpAfterError('(--help says what there is)')
  addCheckCommand(program, context)
  addStatusCommand(program, context)
  addIdentityCommand(program, context)
  addSvidCommand(program, context)
  addBundleCommand(program, context)
  addExplainCommand(program, context)
  addCompletionCommand(program, context)
  addVersionCommand(program, context)
  return program
}

/** How to call a command: as it was called, for kubectl calls its plugins by words of their own. */
function usageOf(calledAs: string): (command: Command) => string {
  const help = new Help()
  return (command) => help.commandUsage(command).replace(NAME, calledAs)
}
