import { expect, test } from 'vitest'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { TokenBucket, TokenBuckets } from './token-bucket.ts'

test('a burst goes through, then so many a second, and who must wait is told how long', async () => {
  const clock = new FakeClock()
  const bucket = new TokenBucket(clock, { burst: 3, perSecond: 2 })
  expect([1, 2, 3, 4].map(() => bucket.take())).toEqual([0, 0, 0, 500])
  expect(bucket.take(3)).toBe(1500)
  await clock.advance(500)
  expect([bucket.take(), bucket.take()]).toEqual([0, 500])
})

test('what is charged is owed where it was not there, up to a bound, and nothing goes through meanwhile', async () => {
  const clock = new FakeClock()
  const buckets = new TokenBuckets(clock, { burst: 3, perSecond: 2 })
  expect([buckets.charge('a', 3, 10), buckets.charge('a', 2, 10), buckets.take('a', 0)]).toEqual([0, 1000, 1000])
  expect(buckets.charge('a', 1_000, 10)).toBe(5000)
  await clock.advance(5000)
  expect([buckets.take('a', 0), buckets.take('a')]).toEqual([0, 500])
})

test('each key has its own, and what is idle is forgotten', async () => {
  const clock = new FakeClock()
  const buckets = new TokenBuckets(clock, { burst: 1, perSecond: 1 })
  expect([buckets.take('a'), buckets.take('a'), buckets.take('b')]).toEqual([0, 1000, 0])
  await clock.advance(1000)
  buckets.take('c')
  expect(buckets.size).toBe(1)
})

test('never more keys than fit', () => {
  const buckets = new TokenBuckets(new FakeClock(), { burst: 1, perSecond: 1 }, 10)
  for (let key = 0; key < 1000; key += 1) buckets.take(String(key))
  expect(buckets.size).toBe(10)
  expect(buckets.take('999')).toBeGreaterThan(0)
})
