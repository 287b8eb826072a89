import { expect, test } from 'vitest'
import { createLog } from '../core/runtime/log.ts'
import { createMetrics } from '../core/runtime/metrics.ts'
import { FakeClock } from '../test/fakes/fake-clock.ts'
import { BROKER_METRICS } from './metrics.ts'
import { Problems } from './problems.ts'
import { templateProblems } from './template-problems.ts'

function told() {
  const { metrics, registry } = createMetrics(BROKER_METRICS)
  const problems = new Problems(new FakeClock())
  const tell = templateProblems({ log: createLog('test', 'silent'), metrics, problems })
  const count = async () => (await registry.getMetricsAsJSON()).find(({ name }) => name.endsWith('template_problems'))
  return { tell, problems, count }
}

test('what is wrong is told of until it is right, each by itself', async () => {
  const { tell, problems, count } = told()
  tell([
    { path: 'web', message: 'is wrong' },
    { path: 'all', message: 'selects what web does', code: 'template_ambiguous' },
  ])
  expect(problems.list()).toMatchObject([
    { key: 'templates/web', code: 'object_invalid', message: 'IdentityTemplate web: is wrong' },
    { key: 'templates/all', code: 'template_ambiguous' },
  ])
  tell([{ path: 'all', message: 'selects what db does', code: 'template_ambiguous' }])
  expect(problems.list()).toMatchObject([{ key: 'templates/all', message: expect.stringContaining('db') as unknown }])
  expect(await count()).toMatchObject({ values: [{ value: 1 }] })
  tell([])
  expect(problems.list()).toEqual([])
})
