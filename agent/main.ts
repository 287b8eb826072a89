import { keepMemoryOutOfCoreDumps } from '../core/runtime/core-dumps.ts'
import { codeOf, IdentityError } from '../core/runtime/errors.ts'
import { createLog } from '../core/runtime/log.ts'
import { systemRandom } from '../core/runtime/random.ts'
import { systemClock } from '../core/runtime/system-clock.ts'
import { startAgent } from './agent.ts'
import { type AgentConfig, readAgentConfig } from './config.ts'
import { flagOf, parseCommandLine, USAGE } from './flags.ts'

keepMemoryOutOfCoreDumps()

/** What is asked for: the agent with its settings, or only a text. */
function asked(args: readonly string[]): AgentConfig | string {
  const { command, configFile, settings } = parseCommandLine(args)
  if (command === 'help') return USAGE
  const config = readAgentConfig(configFile, settings, flagOf)
  return command === 'config-check' ? `${configFile ?? 'the flags'}: ok` : config
}

async function run(config: AgentConfig): Promise<void> {
  const log = createLog('agent', config.log.level)
  const agent = await startAgent(config, { clock: systemClock, random: systemRandom, log })
  log.info({ operationsPort: agent.operationsPort }, 'started')
  const stop = (signal: string) => {
    log.info({ signal }, 'stopping')
    void agent.stop().then((failed) => {
      if (failed.length > 0) log.warn({ failed }, 'some parts did not stop in time')
      process.exit(failed.length > 0 ? 1 : 0)
    })
  }
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
}

function fail(error: unknown, exitCode: number): void {
  // What is no refusal is a bug, and worth its stack.
  const text = error instanceof IdentityError ? `${codeOf(error)}: ${error.message}` : (error as Error).stack
  process.stderr.write(`${text}\n`)
  process.exitCode = exitCode
}

try {
  const answer = asked(process.argv.slice(2))
  if (typeof answer === 'string') process.stdout.write(`${answer}\n`)
  else await run(answer).catch((error: unknown) => fail(error, 1))
} catch (error) {
  // A command line or a file that is wrong will not be right the next time.
  fail(error, 2)
}
