import { expect, test } from 'vitest'
import { FakeClock } from '../test/fakes/fake-clock.ts'
import { Problems } from './problems.ts'

const trouble = (message: string) => ({ code: 'kubernetes_forbidden', message, remedy: 'Add the rule.' }) as const

test('a problem is listed from its report until it is cleared, and knows since when', async () => {
  const clock = new FakeClock()
  const problems = new Problems(clock)
  const since = clock.now()
  problems.report('a', trouble('one'))
  await clock.advance(1000)
  problems.report('b', trouble('two'))
  problems.report('a', trouble('one, changed'))
  expect(problems.list()).toMatchObject([
    { key: 'a', message: 'one, changed', since },
    { key: 'b', message: 'two', since: clock.now() },
  ])
  problems.clear('a')
  problems.clear('never reported')
  expect(problems.list().map(({ key }) => key)).toEqual(['b'])
})

test('one that comes back has begun anew', async () => {
  const clock = new FakeClock()
  const problems = new Problems(clock)
  problems.report('a', trouble('one'))
  problems.clear('a')
  await clock.advance(1000)
  problems.report('a', trouble('one'))
  expect(problems.list()).toMatchObject([{ since: clock.now() }])
})

test('holds no more than it can, and says that there are more', () => {
  const problems = new Problems(new FakeClock())
  for (let index = 0; index < 10_000; index += 1) problems.report(`p${index}`, trouble('x'))
  const list = problems.list()
  expect(list).toHaveLength(501)
  expect(list.at(-1)).toMatchObject({ key: 'problems/more', message: 'at least 500 more problems are not listed' })
})
