import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Clock } from '../core/runtime/clock.ts'
import { IdentityError } from '../core/runtime/errors.ts'
import type { Lifecycle } from '../core/runtime/lifecycle.ts'
import type { Log } from '../core/runtime/log.ts'
import type { Random } from '../core/runtime/random.ts'
import type { BrokerConfig } from './config.ts'
import type { AuditKey } from './ledger/audit-chain.ts'
import type { Ledger } from './ledger/ledger.ts'
import { SqliteLedger } from './ledger/sqlite-ledger.ts'
import { SteadyTime } from './ledger/steady-time.ts'
import { withPatience } from './patience.ts'
import type { Readiness } from './readiness.ts'

interface Parts {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly readiness: Readiness
  readonly lifecycle: Lifecycle
  readonly auditKey: AuditKey
}

/** How often the log says how far the audit chain has come. */
const HEAD_LOG_MS = 10 * 60_000
/** How often old rows are looked for, and the pause between two steps while there are any. */
const PRUNE_LOOK_MS = 60_000
const PRUNE_PAUSE_MS = 100

/**
 * Opens the ledger, waiting for it as long as it is locked or its disk is full. A folder that is not there does not come
 * by waiting.
 *
 * @throws `IdentityError` `config_invalid` without the folder, and what {@link SqliteLedger.open} throws.
 */
export async function openLedger(
  { ledger: { file, retention } }: BrokerConfig,
  { lifecycle, auditKey, ...parts }: Parts,
  { onLost, onStopped }: { readonly onLost: (count: number) => void; readonly onStopped: (error: unknown) => void },
): Promise<Ledger> {
  const folder = dirname(file)
  if (!(await isDirectory(folder))) {
    throw new IdentityError('config_invalid', `ledger.file: the folder ${folder} does not exist`)
  }
  const { clock, log } = parts
  const open = () =>
    SqliteLedger.open({
      file,
      auditKey,
      clock,
      onLost: (error, count) => {
        log.error({ err: error, count }, 'the ledger could not take records')
        onLost(count)
      },
      onStopped,
    })
  const ledger = await withPatience('the ledger', open, { ...parts, signal: lifecycle.signal })
  const telling = keepTelling(ledger, { clock, log }, lifecycle.signal)
  const pruning = keepPruning(ledger, retention, { clock, log, signal: lifecycle.signal })
  lifecycle.add('ledger', async () => {
    await Promise.all([telling, pruning])
    await tellHead(ledger, log)
    await ledger.close()
  })
  return ledger
}

const isDirectory = (path: string) =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )

/** Lets rows go that are older than `retention`, in small steps with pauses between them; what is gone does not come back. */
export async function keepPruning(
  ledger: Pick<SqliteLedger, 'prune'>,
  retention: number,
  { clock, log, signal }: Pick<Parts, 'clock' | 'log'> & { readonly signal: AbortSignal },
): Promise<void> {
  const time = new SteadyTime(clock)
  while (!signal.aborted) {
    let gone = 0
    try {
      if (time.isSteady()) gone = await ledger.prune(new Date(clock.now().getTime() - retention))
    } catch (error) {
      log.warn({ err: error }, 'the ledger could not let old rows go')
    }
    await clock.sleep(gone > 0 ? PRUNE_PAUSE_MS : PRUNE_LOOK_MS, signal).catch(() => {})
  }
}

/** The log is kept elsewhere: a ledger that later ends before what it says was cut off, or is an older copy. */
async function tellHead(ledger: SqliteLedger, log: Log): Promise<void> {
  try {
    const { seq, hash } = await ledger.head()
    log.info({ seq, hash }, 'the newest audit record')
  } catch (error) {
    log.warn({ err: error }, 'the newest audit record could not be read')
  }
}

async function keepTelling(
  ledger: SqliteLedger,
  { clock, log }: Pick<Parts, 'clock' | 'log'>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await tellHead(ledger, log)
    await clock.sleep(HEAD_LOG_MS, signal).catch(() => {})
  }
}
