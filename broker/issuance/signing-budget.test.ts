import { expect, test } from 'vitest'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { SigningBudget, type Urgency } from './signing-budget.ts'

const LIMITS = { maxConcurrent: 1, maxQueued: 3, maxWaitMs: 1000 }

/** Work that ends when it is told to, and the order in which it began. */
function workshop(limits = LIMITS) {
  const clock = new FakeClock()
  const budget = new SigningBudget(clock, limits)
  const begun: string[] = []
  const finish: (() => void)[] = []
  const submit = (urgency: Urgency, name: string) =>
    budget
      .run(urgency, () => {
        begun.push(name)
        return new Promise<string>((resolve) => finish.push(() => resolve(name)))
      })
      .catch((error: { code: string }) => error)
  const finishOne = async () => {
    finish.shift()?.()
    await new Promise((resume) => setImmediate(resume))
  }
  return { clock, budget, begun, submit, finishOne }
}

test('new pods come before near expiry before routine, each in the order they came', async () => {
  const { begun, submit, finishOne } = workshop({ ...LIMITS, maxQueued: 10 })
  for (const [urgency, name] of [
    ['routine', 'first'],
    ['routine', 'r1'],
    ['nearExpiry', 'e1'],
    ['newPod', 'n1'],
    ['routine', 'r2'],
    ['newPod', 'n2'],
  ] as const) {
    void submit(urgency, name)
  }
  for (let turn = 0; turn < 6; turn += 1) await finishOne()
  expect(begun).toEqual(['first', 'n1', 'n2', 'e1', 'r1', 'r2'])
})

test('who does not fit is told when to come back', async () => {
  const { submit, budget } = workshop()
  for (const name of ['running', 'a', 'b', 'c']) void submit('routine', name)
  const refused = await submit('routine', 'd')
  expect(refused).toMatchObject({ code: 'overloaded', retryAfterMs: expect.any(Number) })
  expect(budget.queued).toBe(3)
})

test('a new pod displaces the newest routine renewal, and never one as urgent as itself', async () => {
  const { submit, begun, finishOne } = workshop()
  void submit('routine', 'running')
  void submit('routine', 'a')
  const displaced = submit('routine', 'b')
  void submit('newPod', 'n1')
  void submit('newPod', 'n2')
  expect(await displaced).toMatchObject({ code: 'overloaded' })
  const other = submit('newPod', 'n3')
  expect(await submit('newPod', 'n4')).toMatchObject({ code: 'overloaded' })
  for (let turn = 0; turn < 4; turn += 1) await finishOne()
  expect(begun).toEqual(['running', 'n1', 'n2', 'n3'])
  await finishOne()
  expect(await other).toBe('n3')
})

test('nobody waits longer than the longest wait', async () => {
  const { submit, clock, budget } = workshop()
  void submit('routine', 'running')
  const waiting = submit('newPod', 'a')
  await clock.advance(1500)
  expect(await waiting).toMatchObject({ code: 'overloaded' })
  expect(budget.queued).toBe(0)
})

test('work that fails gives its place back', async () => {
  const { budget } = workshop()
  await expect(budget.run('routine', () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(await budget.run('routine', () => Promise.resolve('yes'))).toBe('yes')
})
