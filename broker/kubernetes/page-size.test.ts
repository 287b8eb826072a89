import { expect, test } from 'vitest'
import { PageSize } from './page-size.ts'

test('is smaller at once where pages are too large, and one at the least', () => {
  const size = new PageSize(100)
  const limits = [100, 25, 6, 1]
  for (const [index, limit] of limits.entries()) {
    expect(size.limit).toBe(limit)
    expect(size.tooLarge()).toBe(index < limits.length - 1)
  }
})

test('grows again with pages that can be read, up to what it was', () => {
  const size = new PageSize(100)
  while (size.tooLarge());
  const limits = Array.from({ length: 33 }, () => {
    const { limit } = size
    size.wasRead()
    return limit
  })
  expect([...new Set(limits)]).toEqual([1, 2, 4, 8, 16, 32, 64, 100])
})
