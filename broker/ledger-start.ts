import type { Clock } from '../core/runtime/clock.ts'
import type { Lifecycle } from '../core/runtime/lifecycle.ts'
import type { Log } from '../core/runtime/log.ts'
import type { Random } from '../core/runtime/random.ts'
import type { BrokerConfig } from './config.ts'
import type { Ledger } from './ledger/ledger.ts'
import { SqliteLedger } from './ledger/sqlite-ledger.ts'
import { withPatience } from './patience.ts'
import type { Readiness } from './readiness.ts'

interface Parts {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly readiness: Readiness
  readonly lifecycle: Lifecycle
}

/** Opens the ledger, waiting for it as long as it is locked or its disk is full. */
export async function openLedger(
  { ledger: { file } }: BrokerConfig,
  { lifecycle, ...parts }: Parts,
  { onLost, onStopped }: { readonly onLost: (count: number) => void; readonly onStopped: (error: unknown) => void },
): Promise<Ledger> {
  const { clock, log } = parts
  const open = () =>
    SqliteLedger.open({
      file,
      clock,
      onLost: (error, count) => {
        log.error({ err: error, count }, 'the ledger could not take records')
        onLost(count)
      },
      onStopped,
    })
  const ledger = await withPatience('the ledger', open, { ...parts, signal: lifecycle.signal })
  lifecycle.add('ledger', () => ledger.close())
  return ledger
}
