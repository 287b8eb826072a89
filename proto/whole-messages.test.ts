import { describe, expect, test } from 'vitest'
import { TooManyParts, WholeMessages } from './whole-messages.ts'

const MAX = 4096
const message = (length: number, fill = 7): Buffer => {
  const bytes = Buffer.alloc(5 + length, fill)
  bytes.writeUInt8(0)
  bytes.writeUInt32BE(length, 1)
  return bytes
}
const three = Buffer.concat([message(0), message(300), message(2)])
const cut = (bytes: Buffer, length: number): Buffer[] =>
  Array.from({ length: Math.ceil(bytes.length / length) }, (_, index) =>
    bytes.subarray(index * length, (index + 1) * length),
  )

test('what is whole goes through as it came, so many messages at a time', () => {
  const messages = new WholeMessages(MAX, 2)
  const pieces = messages.take(three)
  expect(pieces.map(({ length }) => length)).toEqual([5 + 305, 7])
  expect(pieces[0]?.buffer).toBe(three.buffer)
  expect(messages.ended).toBe(3)
  expect(messages.hasBegun).toBe(false)
})

test.for([5, 6, 7, 100, 304, 311, 316])('it is the same in parts of %d', (length) => {
  const messages = new WholeMessages(MAX, 64)
  const pieces = cut(three, length).flatMap((part) => messages.take(part))
  expect(Buffer.concat(pieces)).toEqual(three)
  expect(messages.ended).toBe(3)
  expect(messages.hasBegun).toBe(false)
})

test('of an unfinished message nothing is given out, and nothing of what it came in is kept', () => {
  const messages = new WholeMessages(MAX, 64)
  const [first = Buffer.alloc(0), ...others] = cut(message(4000), 400)
  expect(messages.take(first)).toEqual([])
  first.fill(0)
  expect(messages.hasBegun).toBe(true)
  const pieces = others.flatMap((part) => messages.take(part))
  expect(pieces).toEqual([message(4000)])
})

describe('a message that is too long', () => {
  const head = Buffer.from([0, 0xff, 0xff, 0xff, 0xff])
  test.for([
    ['at once', [Buffer.concat([head, Buffer.alloc(100)])]],
    ['its head alone', [head]],
    ['octet by octet', cut(Buffer.concat([head, Buffer.alloc(200)]), 1)],
  ] as const)('is told by its head, and the rest is dropped: %s', ([, parts]) => {
    const messages = new WholeMessages(MAX, 64)
    expect(parts.flatMap((part) => messages.take(part))).toEqual([head])
    expect(messages.take(Buffer.alloc(10_000))).toEqual([])
  })
})

test('a message may come in parts, but not in any number of them', () => {
  const inParts = (length: number) => {
    const messages = new WholeMessages(MAX, 64)
    return () => cut(message(4000), length).flatMap((part) => messages.take(part))
  }
  expect(inParts(64)()).toEqual([message(4000)])
  expect(inParts(1)).toThrow(TooManyParts)
  expect(inParts(32)).toThrow(TooManyParts)
})
