/** The benchmark: `npm run bench` (see docs/performance.md). */
import { readFlags } from '../flags.ts'
import type { Effort, Figure, Measured } from './figure.ts'
import { FIGURES } from './figures.ts'
import { tableOf } from './report.ts'
import { Stage } from './stage.ts'

const USAGE = `usage: npm run bench -- [flags]
  --json         one JSON document instead of a table
  --only NAME    this figure alone (may be repeated)
  --list         the figures' names
  --quick        less time
  --long         more time
  --cluster      also what needs the test cluster (npm run cluster -- up)
  --cpu-prof DIR a CPU profile of each broker, for --only`

const boolean = { type: 'boolean', default: false } as const
const values = readFlags(
  {
    ...{ json: boolean, list: boolean, quick: boolean, long: boolean, cluster: boolean },
    only: { type: 'string', multiple: true },
    'cpu-prof': { type: 'string' },
  },
  USAGE,
)

const effort: Effort = values.quick ? 'quick' : values.long ? 'long' : 'normal'

function chosen(): readonly Figure[] {
  const unknown = values.only?.filter((name) => !FIGURES.some((figure) => figure.name === name)) ?? []
  if (unknown.length > 0) {
    process.stderr.write(`no such figure: ${unknown.join(', ')}; --list names them\n`)
    process.exit(2)
  }
  if (values.only) return FIGURES.filter(({ name }) => values.only?.includes(name))
  return FIGURES.filter(({ onCluster = false }) => values.cluster || !onCluster)
}

async function measure(figure: Figure): Promise<readonly Measured[]> {
  const stage = new Stage(values['cpu-prof'])
  const interrupted = () => void stage.clear().then(() => process.exit(130))
  process.once('SIGINT', interrupted)
  try {
    return await figure.measure(stage, effort)
  } finally {
    process.off('SIGINT', interrupted)
    await stage.clear()
  }
}

if (values.list) {
  process.stdout.write(`${FIGURES.map(({ name }) => name).join('\n')}\n`)
} else {
  const measured: Measured[] = []
  for (const figure of chosen()) {
    process.stderr.write(`${figure.name} …\n`)
    try {
      measured.push(...(await measure(figure)))
    } catch (error) {
      process.stderr.write(`${figure.name} failed: ${(error as Error).stack}\n`)
      process.exitCode = 1
    }
  }
  process.stdout.write(
    values.json ? `${JSON.stringify({ effort, measured }, undefined, 2)}\n` : `${tableOf(measured)}\n`,
  )
}
