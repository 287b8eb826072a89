import { describe, expect, test } from 'vitest'
import { loadTargets } from './targets.ts'

/** More, or other, cases: `FUZZ_CASES=1000000 FUZZ_SEED=7 npx vitest run test/fuzz`. */
const cases = Number(process.env['FUZZ_CASES'] ?? 10_000)
const seed = Number(process.env['FUZZ_SEED'] ?? 1)
const timeout = Math.max(60_000, cases * 10)

describe.for(await loadTargets())('$name', (target) => {
  test(`holds for ${cases} inputs`, { timeout }, async () => {
    const { failure, accepted, refused } = await target.fuzz({ cases, seed })
    expect(failure).toBeUndefined()
    // Inputs that are all refused, or none, would show little.
    expect(Math.min(accepted, refused)).toBeGreaterThan(cases / 100)
  })

  test('finds its planted fault', { timeout }, async () => {
    const { failure } = await target.fuzz({ cases, seed, faulty: true })
    expect(failure, target.fault).toBeDefined()
    // What it prints is enough to see it again.
    const again = await target.fuzz({ cases: 1, seed: failure?.seed ?? 0, faulty: true })
    expect(again.failure?.input).toBe(failure?.input)
  })
})
