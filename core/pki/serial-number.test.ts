import { describe, expect, test } from 'vitest'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { systemRandom } from '../runtime/random.ts'
import { encodeDer, integer } from './der-encode.ts'
import { readDer } from './der.ts'
import { firstSerialAt, newSerialNumber, serialTime, serialToHex } from './serial-number.ts'

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

test('tells when it was made, and where those of a time begin', () => {
  const time = new Date('2026-01-01T00:00:00.001Z')
  const hex = serialToHex(at(time.toISOString()))
  expect(serialTime(hex)).toEqual(time)
  expect(firstSerialAt(time) <= hex).toBe(true)
  expect(firstSerialAt(new Date(time.getTime() + 1)) > hex).toBe(true)
  expect(firstSerialAt(new Date(-1))).toBe(`40${'0'.repeat(30)}`)
})

test.for(['', '40aa01', 'f'.repeat(32), '0'.repeat(32), `4G${'0'.repeat(30)}`])('%s is none of ours', (hex) => {
  expect(serialTime(hex)).toBeUndefined()
})
