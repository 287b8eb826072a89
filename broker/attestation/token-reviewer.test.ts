import { expect, test } from 'vitest'
import { IdentityError } from '../../core/runtime/errors.ts'
import { tokenFacts } from '../../test/fakes/attested.ts'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { REVIEW_LIMITS, type ReviewedToken, TokenReviewer } from './token-reviewer.ts'

const signal = new AbortController().signal

/** An API server that answers when it is told to. */
class SlowReview {
  asked: string[] = []
  stopped = 0
  #answers: ((answer: ReviewedToken | undefined | Error) => void)[] = []

  readonly review = (token: string, signal: AbortSignal) =>
    new Promise<ReviewedToken | undefined>((resolve, reject) => {
      this.asked.push(token)
      signal.addEventListener('abort', () => (this.stopped += 1))
      this.#answers.push((answer) => (answer instanceof Error ? reject(answer) : resolve(answer)))
    })

  /** Answers all that are asked now. */
  answer(answer: ReviewedToken | undefined | Error): void {
    for (const settle of this.#answers.splice(0)) settle(answer)
  }
}

/** An API server that answers at once: tokens that begin with `good` are good. */
function quick(limits = REVIEW_LIMITS) {
  const clock = new FakeClock()
  const asked: string[] = []
  const review = (token: string) => {
    asked.push(token)
    return Promise.resolve(token.startsWith('good') ? tokenFacts() : undefined)
  }
  return { clock, asked, reviewer: new TokenReviewer({ review, clock }, limits) }
}

test('asks once for all who ask at the same time', async () => {
  const slow = new SlowReview()
  const reviewer = new TokenReviewer({ review: slow.review, clock: new FakeClock() })
  const all = Array.from({ length: 100 }, () => reviewer.review('good', signal))
  slow.answer(tokenFacts())
  expect(await Promise.all(all)).toEqual(Array(100).fill(tokenFacts()))
  expect(slow.asked).toEqual(['good'])
})

test('remembers an accepted token for 10 s, from when it was asked', async () => {
  const { reviewer, clock, asked } = quick()
  await reviewer.review('good', signal)
  await clock.advance(9_999)
  await reviewer.review('good', signal)
  expect(asked).toHaveLength(1)
  await clock.advance(1)
  await reviewer.review('good', signal)
  expect(asked).toHaveLength(2)
})

test('remembers a refused token for a second at most', async () => {
  const { reviewer, clock, asked } = quick()
  for (let round = 0; round < 10; round += 1) {
    await expect(reviewer.review('bad', signal)).rejects.toMatchObject({ code: 'token_rejected' })
  }
  expect(asked).toHaveLength(1)
  await clock.advance(1000)
  await expect(reviewer.review('bad', signal)).rejects.toMatchObject({ code: 'token_rejected' })
  expect(asked).toHaveLength(2)
})

test('never remembers that the API server was away', async () => {
  const slow = new SlowReview()
  const reviewer = new TokenReviewer({ review: slow.review, clock: new FakeClock() })
  const first = reviewer.review('good', signal)
  slow.answer(new IdentityError('kubernetes_unavailable', 'away', { retryAfterMs: 7 }))
  await expect(first).rejects.toMatchObject({ code: 'kubernetes_unavailable', retryAfterMs: 7 })
  const second = reviewer.review('good', signal)
  slow.answer(tokenFacts())
  expect(await second).toEqual(tokenFacts())
})

test('a flood of distinct refused tokens displaces no accepted one', async () => {
  const { reviewer, asked } = quick({ ...REVIEW_LIMITS, maxCached: 10 })
  await reviewer.review('good', signal)
  for (let round = 0; round < 1000; round += 1) {
    await expect(reviewer.review(`bad-${round}`, signal)).rejects.toMatchObject({ code: 'token_rejected' })
  }
  await reviewer.review('good', signal)
  expect(asked.filter((token) => token === 'good')).toHaveLength(1)
})

test('the memory of accepted tokens is bounded: the oldest goes', async () => {
  const { reviewer, asked } = quick({ ...REVIEW_LIMITS, maxCached: 2 })
  for (const token of ['good-1', 'good-2', 'good-3', 'good-3', 'good-1']) await reviewer.review(token, signal)
  expect(asked).toEqual(['good-1', 'good-2', 'good-3', 'good-1'])
})

test('so many at a time, so many wait, more are refused', async () => {
  const slow = new SlowReview()
  const limits = { ...REVIEW_LIMITS, maxConcurrent: 2, maxQueued: 3 }
  const reviewer = new TokenReviewer({ review: slow.review, clock: new FakeClock() }, limits)
  const served = ['1', '2', '3', '4', '5'].map((token) => reviewer.review(token, signal))
  await expect(reviewer.review('6', signal)).rejects.toMatchObject({ code: 'overloaded', retryAfterMs: 1000 })
  expect(slow.asked).toEqual(['1', '2'])
  for (let round = 0; round < 3; round += 1) {
    slow.answer(tokenFacts())
    await new Promise((resume) => setImmediate(resume))
  }
  await Promise.all(served)
  expect(slow.asked).toEqual(['1', '2', '3', '4', '5'])
  const again = reviewer.review('7', signal)
  slow.answer(tokenFacts())
  expect(await again).toBeDefined()
})

test('gives up after its deadline, the wait for a turn included, and frees the place', async () => {
  const slow = new SlowReview()
  const clock = new FakeClock()
  const reviewer = new TokenReviewer(
    { review: (token, inTime) => Promise.race([slow.review(token, inTime), aborted(inTime)]), clock },
    { ...REVIEW_LIMITS, maxConcurrent: 1 },
  )
  const both = ['1', '2'].map((token) => reviewer.review(token, signal))
  const refused = both.map((attempt) =>
    expect(attempt).rejects.toMatchObject({ code: 'kubernetes_unavailable', retryAfterMs: 1000 }),
  )
  await clock.advance(10_000)
  await Promise.all(refused)
  const next = reviewer.review('3', signal)
  await expect.poll(() => slow.asked).toContain('3')
  slow.answer(tokenFacts())
  expect(await next).toBeDefined()
})

test('a caller that goes leaves the others; when the last has gone the question is called off', async () => {
  const slow = new SlowReview()
  const reviewer = new TokenReviewer({ review: slow.review, clock: new FakeClock() })
  const [first, second] = [new AbortController(), new AbortController()]
  const attempts = [first, second].map((caller) => reviewer.review('good', caller.signal))
  first.abort(new Error('first gone'))
  await expect(attempts[0]).rejects.toThrow('first gone')
  expect(slow.stopped).toBe(0)
  second.abort(new Error('second gone'))
  await expect(attempts[1]).rejects.toThrow('second gone')
  expect(slow.stopped).toBe(1)
  const third = reviewer.review('good', signal)
  expect(slow.asked).toHaveLength(2)
  slow.answer(tokenFacts())
  expect(await third).toBeDefined()
})

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
}
