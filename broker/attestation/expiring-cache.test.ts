import { expect, test } from 'vitest'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { ExpiringCache } from './expiring-cache.ts'

test('holds so many bytes: the oldest go first', async () => {
  const clock = new FakeClock()
  const bytes = { of: (value: string) => value.length, max: 10 }
  const cache = new ExpiringCache<string>(clock, { ttlMs: 1000, maxEntries: 100, bytes })
  const put = (key: string, value: string) => cache.set(key, value, clock.monotonicMs())
  put('a', 'xxxx')
  put('b', 'xxxx')
  put('b', 'yyyyy')
  expect([cache.get('a'), cache.get('b')]).toEqual(['xxxx', 'yyyyy'])
  put('c', 'xxxx')
  expect([cache.get('a'), cache.get('b'), cache.get('c')]).toEqual([undefined, 'yyyyy', 'xxxx'])
  put('d', 'x'.repeat(11))
  expect(cache.size).toBe(0)
  put('e', 'x'.repeat(10))
  await clock.advance(1000)
  expect(cache.get('e')).toBeUndefined()
  put('f', 'x'.repeat(10))
  expect(cache.get('f')).toBeDefined()
})
