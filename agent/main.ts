import { codeOf, IdentityError } from '../core/runtime/errors.ts'
import { createLog } from '../core/runtime/log.ts'
import { systemRandom } from '../core/runtime/random.ts'
import { systemClock } from '../core/runtime/system-clock.ts'
import { startAgent } from './agent.ts'
import { readAgentConfig } from './config.ts'
import { parseCommandLine, USAGE } from './flags.ts'

async function main(): Promise<void> {
  const { command, configFile, settings } = parseCommandLine(process.argv.slice(2))
  if (command === 'help') {
    process.stdout.write(`${USAGE}\n`)
    return
  }
  const config = readAgentConfig(configFile, settings)
  if (command === 'config-check') {
    process.stdout.write('ok\n')
    return
  }
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

main().catch((error: unknown) => {
  // What is no refusal is a bug, and worth its stack.
  const text = error instanceof IdentityError ? `${codeOf(error)}: ${error.message}` : (error as Error).stack
  process.stderr.write(`${text}\n`)
  process.exitCode = 1
})
