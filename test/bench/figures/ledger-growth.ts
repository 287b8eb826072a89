import { randomBytes, randomUUID } from 'node:crypto'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { KeyWrap } from '../../../broker/ca/key-wrap.ts'
import { SqliteLedger } from '../../../broker/ledger/sqlite-ledger.ts'
import type { IssuanceIntent } from '../../../broker/ledger/ledger.ts'
import { newSerialNumber, serialToHex } from '../../../core/pki/serial-number.ts'
import { systemRandom } from '../../../core/runtime/random.ts'
import { systemClock } from '../../../core/runtime/system-clock.ts'
import type { Figure } from '../figure.ts'
import { fixed } from '../statistics.ts'
import type { Stage } from '../stage.ts'
import { brokerUnderLoad, type Cost, costOf } from './issuance.ts'

const ROWS = { quick: [1e3, 1e5], normal: [1e3, 1e5, 1e6], long: [1e3, 1e5, 1e6] } as const
const BATCH = 2000
/** The dearest may cost so much more than the cheapest. */
const GOAL = 1.1

/** Whether an SVID costs more as the ledger grows. */
export const ledgerGrowth: Figure = {
  name: 'ledger-growth',
  async measure(stage, effort) {
    const costs: { readonly rows: number; readonly cost: Cost }[] = []
    let filled = 0
    for (const rows of ROWS[effort]) {
      await fill(stage, rows - filled)
      filled = rows
      const loaded = await brokerUnderLoad(stage, { perNode: 1000 })
      costs.push({ rows, cost: await costOf(loaded, { seconds: 3, rounds: 3, batch: 10 }) })
      loaded.load.stop()
      await loaded.broker.process.stop()
    }
    const ratios = costs.map(({ cost }) => cost.cpuRatio)
    const growth = Math.max(...ratios) / (ratios[0] ?? Number.NaN)
    return [
      {
        figure: `cost of an SVID with ${costs.map(({ rows }) => rows.toExponential(0)).join(', ')} rows in the ledger`,
        value: costs.map(({ cost }) => fixed(cost.cpuRatio, 2)).join(', '),
        numbers: Object.fromEntries(costs.flatMap(({ rows, cost }) => [[`cpuRatioWith${rows}Rows`, cost.cpuRatio]])),
        floorMicros: costs.at(-1)?.cost.floorMicros,
        ratio: growth,
        goal: `≤ ${GOAL} × the first`,
        met: growth <= GOAL,
        note: 'CPU of the broker per SVID in units of the floor, batches of 10, beside all that was issued meanwhile',
      },
    ]
  },
}

/** Adds rows by way of the ledger itself, so that the audit chain grows with them. */
async function fill(stage: Stage, count: number): Promise<void> {
  const keyFile = join(stage.folder('broker'), 'wrapping.key')
  if (!existsSync(keyFile)) writeFileSync(keyFile, randomBytes(32).toString('base64'), { mode: 0o600 })
  const { auditKey } = KeyWrap.fromFile(keyFile)
  const file = join(stage.folder('broker'), 'ledger.sqlite')
  const ledger = await SqliteLedger.open({ file, auditKey, clock: systemClock })
  for (let left = count; left > 0; left -= BATCH) {
    await ledger.intend(Array.from({ length: Math.min(left, BATCH) }, (_, index) => intent(left - index)))
  }
  await ledger.close()
}

function intent(number: number): IssuanceIntent {
  const serialNumber = serialToHex(newSerialNumber(systemClock, systemRandom))
  return {
    kind: 'workload',
    serialNumber,
    spiffeId: `spiffe://bench.example/ns/team-${number % 50}/sa/app-${number % 20}`,
    publicKeySha256: serialNumber.padStart(64, '0'),
    authorityKeyId: 'ab'.repeat(20),
    notBefore: new Date(0),
    notAfter: new Date(1),
    nodeName: `old-node-${number % 100}`,
    pod: { namespace: `team-${number % 50}`, name: `app-${number}`, uid: randomUUID(), serviceAccount: 'app' },
    template: 'built-in',
    tokenId: randomUUID(),
    reviewed: false,
  }
}
