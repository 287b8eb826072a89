import { readFlags } from '../flags.ts'
import { loadTargets } from './targets.ts'

const USAGE = `usage: npm run fuzz -- [flags]
  --target NAME  this target alone; without it, all of them
  --cases N      how many cases, 100000 unless told
  --seed N       the first case's seed, 1 unless told
  --faulty       with the fault that was planted for the target
  --input TEXT   one input again, as a failure printed it`

const values = readFlags(
  {
    target: { type: 'string' },
    cases: { type: 'string', default: process.env['FUZZ_CASES'] ?? '100000' },
    seed: { type: 'string', default: process.env['FUZZ_SEED'] ?? '1' },
    faulty: { type: 'boolean', default: false },
    input: { type: 'string' },
  },
  USAGE,
)

const targets = await loadTargets()
const chosen = targets.filter(({ name }) => values.target === undefined || name === values.target)
if (chosen.length === 0) {
  console.error(`no target ${values.target}; there are: ${targets.map(({ name }) => name).join(', ')}`)
  process.exitCode = 2
}

for (const target of chosen) {
  if (values.input !== undefined) {
    console.log(target.name, await target.replay(values.input))
    continue
  }
  const start = performance.now()
  const options = { cases: Number(values.cases), seed: Number(values.seed), faulty: values.faulty }
  const { accepted, refused, failure } = await target.fuzz(options)
  const seconds = ((performance.now() - start) / 1000).toFixed(1)
  console.log(
    `${target.name}: ${accepted} accepted, ${refused} refused in ${seconds} s${failure ? ', then FAILED' : ''}`,
  )
  if (!failure) continue
  console.error(`  again: npm run fuzz -- --target ${target.name} --cases 1 --seed ${failure.seed}`)
  console.error(`  or:    npm run fuzz -- --target ${target.name} --input '${failure.input}'`)
  console.error(failure.error)
  process.exitCode = 1
}
