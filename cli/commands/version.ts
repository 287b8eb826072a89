import type { Command } from 'commander'
import { jsonText } from '../output/json.ts'
import { CLI_VERSION } from '../installation/version.ts'
import type { Session } from '../session/session.ts'
import type { CommandContext } from './command-context.ts'

export function addVersionCommand(program: Command, context: CommandContext): void {
  program
    .command('version')
    .summary('the version of this program and of the broker')
    .description('The version of this program and, unless --client is given, that of the broker.')
    .option('--client', 'do not ask the broker')
    .action(async ({ client }: { client?: true }, command: Command) => {
      const session = context.session(command)
      const write = (broker?: string) =>
        context.out.write(
          session.options.json
            ? jsonText({ client: CLI_VERSION, ...(broker !== undefined && { broker }) })
            : `client ${CLI_VERSION}\n${broker === undefined ? '' : `broker ${broker}\n`}`,
        )
      if (client) return write()
      try {
        write(await brokerVersion(session))
      } catch (error) {
        // Whoever reports that the broker cannot be asked is asked for this version first.
        write()
        throw error
      }
    })
}

async function brokerVersion(session: Session): Promise<string> {
  const admin = await session.admin()
  const { version } = await admin.ask((service, options) => service.getStatus({}, options))
  return version
}
