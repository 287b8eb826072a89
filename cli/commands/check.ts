import type { Command } from 'commander'
import { INSTALLED_CHECKS } from '../checks/installed-checks.ts'
import { PRE_CHECKS } from '../checks/pre-checks.ts'
import { type CheckResult, runChecks, worst } from '../checks/run-checks.ts'
import type { Exit } from '../exit/exit-code.ts'
import { gatherInstalledFacts } from '../facts/installed-facts.ts'
import { gatherPreFacts } from '../facts/pre-facts.ts'
import { checkDocument, checkReport } from '../output/check-report.ts'
import { jsonText } from '../output/json.ts'
import { durationFlag } from '../session/options.ts'
import type { Session } from '../session/session.ts'
import type { CommandContext } from './command-context.ts'

/** Between two looks of `--wait`. */
const LOOK_AGAIN_MS = 2_000

interface Flags {
  readonly pre?: true
  readonly wait?: string
}

export function addCheckCommand(program: Command, context: CommandContext): void {
  program
    .command('check')
    .summary('what is wrong with the installation, and what to do about it')
    .description(
      'Looks at everything that an installation consists of: each line passes (✔), warns (‼), fails (✖) or could not be looked at (-), with a reason and a remedy.',
    )
    .option('--pre', 'look at the cluster before anything is installed')
    .option('--wait <duration>', 'look again until nothing fails, for at most so long')
    .action(async (flags: Flags, command: Command) => {
      const { results, json } = await settle(flags, command, context)
      context.out.write(json ? jsonText(checkDocument(results)) : checkReport(results, context.out))
      context.end(exitFor(results))
    })
}

/** The results of the first look at which nothing fails, or of the last. */
async function settle(
  { pre, wait }: Flags,
  command: Command,
  { session, clock }: CommandContext,
): Promise<{ results: CheckResult[]; json: boolean }> {
  const deadline = clock.monotonicMs() + (wait === undefined ? 0 : durationFlag('--wait', wait))
  for (;;) {
    const current = session(command)
    const results = await (pre ? preResults(current) : installedResults(current))
    const left = deadline - clock.monotonicMs()
    if (worst(results) !== 'fail' || left <= 0) return { results, json: current.options.json }
    current.close()
    await clock.sleep(Math.min(LOOK_AGAIN_MS, left))
  }
}

async function preResults(session: Session): Promise<CheckResult[]> {
  return runChecks(PRE_CHECKS, await gatherPreFacts(await session.cluster(), await session.namespace()))
}

async function installedResults(session: Session): Promise<CheckResult[]> {
  const { options, clock } = session
  const facts = await gatherInstalledFacts({
    cluster: await session.cluster(),
    clock,
    brokerIsElsewhere: options.broker !== undefined,
    trustDomain: options.trustDomain?.toString(),
    trustBundle: () => session.publishedBundle(),
    admin: () => session.admin(),
  })
  return runChecks(INSTALLED_CHECKS, facts)
}

/** A cluster that cannot be reached says nothing of the installation. */
function exitFor(results: readonly CheckResult[]): Exit {
  const reached = results.find(({ id }) => id === 'api-server-reachable')
  if (reached?.outcome === 'fail') return 'unreachable'
  return worst(results) === 'fail' ? 'failed' : 'good'
}
