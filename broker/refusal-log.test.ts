import { expect, test } from 'vitest'
import { createLog } from '../core/runtime/log.ts'
import { FakeClock } from '../test/fakes/fake-clock.ts'
import { RefusalLog } from './refusal-log.ts'

test('a flood of refusals is a few lines, and the next says how many there were', async () => {
  const lines: unknown[] = []
  const clock = new FakeClock()
  const log = Object.assign(createLog('broker', 'silent'), { info: (facts: unknown) => void lines.push(facts) })
  const refusals = new RefusalLog(log, clock)
  for (let call = 0; call < 1000; call += 1) refusals.info({ call }, 'refused')
  expect(lines).toHaveLength(50)
  await clock.advance(1000)
  refusals.info({ call: 1000 }, 'refused')
  expect(lines.at(-1)).toEqual({ call: 1000, suppressed: 950 })
})
