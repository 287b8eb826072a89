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
  const submit = (urgency: Urgency, name: string, lane?: string) =>
    budget
      .run(
        urgency,
        () => {
          begun.push(name)
          return new Promise<string>((resolve) => finish.push(() => resolve(name)))
        },
        lane,
      )
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

test('renewals have turns of their own, however many new pods there are said to be', async () => {
  const { begun, submit, finishOne } = workshop({ ...LIMITS, maxQueued: 100 })
  void submit('routine', 'running')
  for (let index = 0; index < 20; index += 1) void submit('newPod', 'n')
  for (const urgency of ['routine', 'nearExpiry', 'nearExpiry', 'nearExpiry'] as const) void submit(urgency, urgency)
  for (let turn = 0; turn < 16; turn += 1) await finishOne()
  const early = begun.slice(1)
  expect(early.filter((each) => each === 'nearExpiry')).toHaveLength(2)
  expect(early.filter((each) => each === 'routine')).toHaveLength(1)
  expect(early.slice(0, 3)).toEqual(['n', 'n', 'n'])
})

test('each urgency has a part of the queue of its own, which no other takes from it', async () => {
  const { submit, budget } = workshop({ ...LIMITS, maxQueued: 16 })
  void submit('routine', 'running')
  const pods = Array.from({ length: 16 }, (_, index) => submit('newPod', `n${index}`, 'evil'))
  expect(budget.queued).toBe(16)
  // Full of new pods: two of them, the newest, give way to the two renewals that always have room.
  const renewals = [submit('routine', 'r0', 'a'), submit('routine', 'r1', 'b')]
  expect(await Promise.all(pods.slice(14))).toMatchObject([{ code: 'overloaded' }, { code: 'overloaded' }])
  expect(await submit('routine', 'r2', 'c')).toMatchObject({ code: 'overloaded' })
  // And no new pod takes it back.
  expect(await submit('newPod', 'n16', 'evil')).toMatchObject({ code: 'overloaded' })
  const kept = Symbol('kept')
  expect(await Promise.race([...renewals, Promise.resolve(kept)])).toBe(kept)
})

test('within an urgency nodes take turns, however much one of them asks for', async () => {
  const { begun, submit, finishOne } = workshop({ ...LIMITS, maxQueued: 100 })
  void submit('routine', 'running', 'a')
  for (let index = 0; index < 50; index += 1) void submit('newPod', `a${index}`, 'a')
  for (const name of ['b0', 'b1']) void submit('newPod', name, 'b')
  void submit('newPod', 'c0', 'c')
  for (let turn = 0; turn < 7; turn += 1) await finishOne()
  expect(begun).toEqual(['running', 'a0', 'b0', 'c0', 'a1', 'b1', 'a2', 'a3'])
})

test('who has filled the queue makes room for others as urgent as himself', async () => {
  const { begun, submit, finishOne } = workshop()
  void submit('newPod', 'running', 'a')
  void submit('newPod', 'a0', 'a')
  void submit('newPod', 'a1', 'a')
  const displaced = submit('newPod', 'a2', 'a')
  void submit('newPod', 'b0', 'b')
  expect(await displaced).toMatchObject({ code: 'overloaded' })
  // Now b would have as many as a: nobody gives way.
  expect(await submit('newPod', 'b1', 'b')).toMatchObject({ code: 'overloaded' })
  for (let turn = 0; turn < 3; turn += 1) await finishOne()
  expect(begun).toEqual(['running', 'a0', 'b0', 'a1'])
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
