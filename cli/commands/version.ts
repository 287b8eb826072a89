import type { Command } from 'commander'
import { jsonText } from '../output/json.ts'
import { CLI_VERSION } from '../installation/version.ts'
import type { CommandContext } from './command-context.ts'

export function addVersionCommand(program: Command, context: CommandContext): void {
  program
    .command('version')
    .summary('the version of this program and of the broker')
    .description('The version of this program and, unless --client is given, that of the broker.')
    .option('--client', 'do not ask the broker')
    .action(async ({ client }: { client?: true }, command: Command) => {
      const session = context.session(command)
      const broker = client
        ? undefined
        : (await (await session.admin()).ask((service, options) => service.getStatus({}, options))).version
      context.out.write(
        session.options.json
          ? jsonText({ client: CLI_VERSION, ...(broker !== undefined && { broker }) })
          : `client ${CLI_VERSION}\n${broker === undefined ? '' : `broker ${broker}\n`}`,
      )
    })
}
