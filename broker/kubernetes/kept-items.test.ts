import { expect, test } from 'vitest'
import { KeptItems } from './kept-items.ts'

const MIB = 1024 * 1024

test('keeps so many, and lets each of them change', () => {
  const kept = new KeptItems<number>({ maxItems: 2 })
  kept.put('a', 1)
  kept.put('b', 1)
  kept.put('a', 2)
  expect(() => kept.put('c', 1)).toThrow('there are more than 2 objects')
  expect(kept.delete('b')).toBe(true)
  expect(kept.delete('b')).toBe(false)
  kept.put('c', 1)
  expect([...kept.items]).toEqual([
    ['a', 2],
    ['c', 1],
  ])
})

test('keeps no more bytes than it may, whichever way they came', () => {
  const kept = new KeptItems<number>({ maxItems: 10, bytes: { of: (mebibytes) => mebibytes * MIB, max: 4 * MIB } })
  const overloaded = expect.objectContaining({
    code: 'overloaded',
    message: expect.stringContaining('more than 4 MiB'),
  })
  kept.put('a', 3)
  expect(() => kept.put('b', 2)).toThrow(overloaded)
  kept.put('b', 1)
  expect(() => kept.put('b', 2)).toThrow(overloaded)
  expect(kept.items.get('b')).toBe(1)
  kept.put('a', 1)
  kept.put('b', 3)
  kept.delete('b')
  kept.put('c', 3)
  expect([...kept.items.values()]).toEqual([1, 3])
})
