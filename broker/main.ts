/**
 * The broker as a program: configuration, start, signals, stop.
 *
 * @module
 */
import { keepMemoryOutOfCoreDumps } from '../core/runtime/core-dumps.ts'
import { codeOf, IdentityError } from '../core/runtime/errors.ts'
import { createLog, type Log } from '../core/runtime/log.ts'
import { systemRandom } from '../core/runtime/random.ts'
import { systemClock } from '../core/runtime/system-clock.ts'
import { startBroker } from './broker.ts'
import { checkFile } from './config-check.ts'
import { type Command, readCommand } from './flags.ts'
import { uninstallCheck } from './uninstall-check.ts'

keepMemoryOutOfCoreDumps()

async function main(command: Command): Promise<void> {
  if ('help' in command) {
    process.stdout.write(`${command.help}\n`)
    return
  }
  if ('check' in command) {
    process.stdout.write(`${await checkFile(command.check)}\n`)
    return
  }
  if ('uninstallCheck' in command) {
    const { mayGo, text } = await uninstallCheck(command.uninstallCheck, systemClock)
    process.stdout.write(`${text}\n`)
    if (!mayGo) process.exitCode = 1
    return
  }
  const config = command.run
  const log = createLog('broker', config.log.level)
  const stopping = new AbortController()
  const stopped = new Promise<void>((resolve) => {
    for (const name of ['SIGTERM', 'SIGINT'] as const) {
      process.once(name, () => {
        stopping.abort(new IdentityError('shutting_down', `the broker was asked to stop (${name})`))
        resolve()
      })
    }
  })
  process.on('uncaughtException', (error) => fail(log, error))
  process.on('unhandledRejection', (error) => fail(log, error))
  try {
    const environment = { clock: systemClock, random: systemRandom, log, onFatal: (error: unknown) => fail(log, error) }
    const broker = await startBroker(config, environment, stopping.signal)
    await stopped
    const failed = await broker.stop()
    if (failed.length > 0) log.warn({ failed }, 'parts did not stop in time')
    process.exit(0)
  } catch (error) {
    if (stopping.signal.aborted) process.exit(0)
    fail(log, error)
  }
}

/** A state that nobody thought of is not served from: whoever started us starts us again. */
function fail(log: Log, error: unknown): never {
  log.fatal({ err: error, code: codeOf(error) }, 'the broker has failed')
  process.exit(1)
}

try {
  await main(readCommand(process.argv.slice(2)))
} catch (error) {
  process.stderr.write(`${error instanceof IdentityError ? `${codeOf(error)}: ${error.message}` : String(error)}\n`)
  process.exit(2)
}
