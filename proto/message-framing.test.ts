import { expect, test } from 'vitest'
import { MessageFraming } from './message-framing.ts'

const message = (length: number): Buffer => {
  const bytes = Buffer.alloc(5 + length, 7)
  bytes.writeUInt8(0)
  bytes.writeUInt32BE(length, 1)
  return bytes
}
const three = Buffer.concat([message(0), message(300), message(2)])

test('where messages end', () => {
  expect(new MessageFraming().end(three, 0, 1)).toBe(5)
  expect(new MessageFraming().end(three, 0, 2)).toBe(5 + 305)
  expect(new MessageFraming().end(three, 0, 9)).toBe(three.length)
  const framing = new MessageFraming()
  expect(framing.end(three, 0, 1)).toBe(5)
  expect(framing.end(three, 5, 1)).toBe(310)
  expect(framing.end(three, 310, 1)).toBe(three.length)
  expect(framing.ended).toBe(3)
})

test('they are the same however what comes is cut', () => {
  const framing = new MessageFraming()
  for (const octet of three) expect(framing.end(Buffer.of(octet), 0, 1)).toBe(1)
  expect(framing.ended).toBe(3)
})

test('of a message that is longer than all that comes, none ends', () => {
  const framing = new MessageFraming()
  expect(framing.end(Buffer.from([0, 0xff, 0xff, 0xff, 0xff, ...three]), 0, 1)).toBe(5 + three.length)
  expect(framing.ended).toBe(0)
})
