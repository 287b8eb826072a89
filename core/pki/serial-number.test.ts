import { describe, expect, test } from 'vitest'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { systemRandom } from '../runtime/random.ts'
import { encodeDer, integer } from './der-encode.ts'
import { readDer } from './der.ts'
import { newSerialNumber, serialToHex } from './serial-number.ts'

const at = (time: string): Uint8Array => newSerialNumber(new FakeClock(time), systemRandom)

describe('RFC 5280 §4.1.2.2', () => {
  test.for(['1970-01-01T00:00:00Z', '2026-06-01T00:00:00Z', '4100-01-01T00:00:00Z'])('holds in %s', (time) => {
    const serial = at(time)
    const { contents } = readDer(encodeDer(integer(serial)))
    expect(contents).toHaveLength(16)
    expect(contents[0]).toBeLessThan(0x80)
    expect(serialToHex(contents)).toBe(serialToHex(serial))
  })
})

test('ascends with time, as a number and as hex', () => {
  const serials = [
    '1970-01-01T00:00:00.000Z',
    '2026-01-01T00:00:00.000Z',
    '2026-01-01T00:00:00.001Z',
    '2027-01-01T00:00:00Z',
  ]
  const hex = serials.map((time) => serialToHex(at(time)))
  expect(hex.toSorted()).toEqual(hex)
})

test('10,000 of one millisecond differ', () => {
  const clock = new FakeClock()
  const seen = new Set(Array.from({ length: 10_000 }, () => serialToHex(newSerialNumber(clock, systemRandom))))
  expect(seen.size).toBe(10_000)
})

test('takes 80 bits from the randomness it is handed', () => {
  const asked: number[] = []
  const random = { ...systemRandom, bytes: (count: number) => (asked.push(count), new Uint8Array(count).fill(0xab)) }
  expect(serialToHex(newSerialNumber(new FakeClock(), random))).toMatch(/^4[0-9a-f]{11}(?:ab){10}$/)
  expect(asked).toEqual([10])
})
