import { describe, expect, test } from 'vitest'
import { refusal } from '../../test/vectors/refusal.ts'
import { vector } from '../../test/vectors/vector.ts'
import { contextTag, TAG } from './der-tags.ts'
import { readDer } from './der.ts'

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')
/** `count` SEQUENCEs, one in the other. */
const nested = (count: number): Buffer =>
  Array.from({ length: count }).reduce<Buffer>((inner) => tlv(0x30, inner), Buffer.alloc(0))

function tlv(tag: number, contents: Buffer): Buffer {
  const length = contents.length < 0x80 ? [contents.length] : [0x82, contents.length >> 8, contents.length & 0xff]
  return Buffer.concat([Buffer.of(tag, ...length), contents])
}

test('gives each value its octets', () => {
  const value = readDer(hex('30 08 02 01 05 a0 03 0c 01 61'))
  expect(value.tag).toBe(TAG.sequence)
  expect(value.children.map(({ tag }) => tag)).toEqual([TAG.integer, contextTag(0, 'constructed')])
  expect(value.children[0]?.contents).toEqual(hex('05'))
  expect(value.children[1]?.raw).toEqual(hex('a0 03 0c 01 61'))
  expect(value.children[1]?.children[0]?.contents.toString()).toBe('a')
})

test('keeps nothing of the caller’s buffer', () => {
  const bytes = hex('02 01 05')
  const value = readDer(bytes)
  bytes.fill(0)
  expect(value.raw).toEqual(hex('02 01 05'))
})

test.for([127, 128, 255, 256, 60_000])('reads a value of %i octets', (length) => {
  const lengthOctets = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  const bytes = Buffer.concat([Buffer.of(0x04, ...lengthOctets), Buffer.alloc(length, 7)])
  expect(readDer(bytes).contents).toHaveLength(length)
  expect(readDer(bytes).raw).toEqual(bytes)
})

describe('invariant 10: refuses what would encode differently', () => {
  test.for([
    { name: 'nothing', bytes: '' },
    { name: 'an identifier alone', bytes: '30' },
    { name: 'a value that is cut off', bytes: '04 02 00' },
    { name: 'a member that is cut off', bytes: '30 03 04 02 00' },
    { name: 'a member longer than what holds it', bytes: '30 03 04 05 00 00 00 00 00' },
    { name: 'trailing bytes', bytes: '02 01 05 00' },
    { name: 'trailing values', bytes: '02 01 05 02 01 05' },
    { name: 'a length in more octets than needed', bytes: '04 81 01 00' },
    { name: 'a padded length', bytes: '04 82 00 80' + '00'.repeat(128) },
    { name: 'an indefinite length', bytes: '30 80 02 01 05 00 00' },
    { name: 'an indefinite length of a primitive', bytes: '04 80 00 00' },
    { name: 'the reserved length', bytes: '04 ff 00' },
    { name: 'a length of 2^31', bytes: '04 84 80 00 00 00 00' },
    { name: 'a length of 2^32 and more', bytes: '04 85 01 00 00 00 01 00' },
    { name: 'the end of contents', bytes: '00 00' },
    { name: 'a tag number above 30', bytes: '1f 20 00' },
    { name: 'a tag number above 30, context-specific', bytes: 'bf 81 00 00' },
    { name: 'a type whose rules are not known (REAL)', bytes: '09 03 80 00 01' },
    { name: 'a primitive SEQUENCE', bytes: '10 00' },
    { name: 'a constructed INTEGER', bytes: '22 03 02 01 05' },
    { name: 'a constructed OCTET STRING', bytes: '24 03 04 01 00' },
    { name: 'a constructed UTF8String', bytes: '2c 03 0c 01 61' },
    { name: 'TRUE but ff', bytes: '01 01 01' },
    { name: 'a BOOLEAN of two octets', bytes: '01 02 ff ff' },
    { name: 'an empty BOOLEAN', bytes: '01 00' },
    { name: 'an empty INTEGER', bytes: '02 00' },
    { name: 'a padded INTEGER', bytes: '02 02 00 7f' },
    { name: 'a padded negative INTEGER', bytes: '02 02 ff 80' },
    { name: 'an INTEGER that is padded twice', bytes: '02 03 00 00 01' },
    { name: 'a padded ENUMERATED', bytes: '0a 02 00 01' },
    { name: 'a NULL with contents', bytes: '05 01 00' },
    { name: 'a BIT STRING without contents', bytes: '03 00' },
    { name: 'a BIT STRING with eight unused bits', bytes: '03 02 08 00' },
    { name: 'a BIT STRING with unused bits that are set', bytes: '03 02 01 01' },
    { name: 'an empty BIT STRING with unused bits', bytes: '03 01 01' },
    { name: 'an empty OBJECT IDENTIFIER', bytes: '06 00' },
    { name: 'a padded OBJECT IDENTIFIER', bytes: '06 03 55 80 04' },
    { name: 'a truncated OBJECT IDENTIFIER', bytes: '06 02 55 84' },
    { name: 'an OBJECT IDENTIFIER of 65 octets', bytes: `06 41 ${'55 '.repeat(65)}` },
    { name: 'a SET out of order', bytes: '31 06 02 01 02 02 01 01' },
  ])('$name', ({ bytes }) => {
    expect(() => readDer(hex(bytes))).toThrow(refusal('der_invalid'))
  })

  test.for(['01 01 01', '02 02 00 7f', '24 03 04 01 00', '04 81 01 00'])('also deep inside: %s', (bytes) => {
    expect(() => readDer(tlv(0x30, tlv(0xa0, tlv(0x31, hex(bytes)))))).toThrow(refusal('der_invalid'))
  })

  test.for(['x509-svid/good', 'x509-svid/good-rsa', 'csr/greedy'])('but nothing of %s', (name) => {
    for (const der of vector(name)) expect(readDer(der).raw.equals(der)).toBe(true)
  })
})

describe('bounds', () => {
  test('size, before anything is parsed', () => {
    const bytes = Buffer.alloc(65_537, 0x30)
    expect(() => readDer(bytes)).toThrow(refusal('der_invalid', 'more than 65536 bytes'))
    expect(() => readDer(hex('02 01 05'), { maxBytes: 2 })).toThrow(refusal('der_invalid', 'more than 2 bytes'))
  })

  test('length of an OBJECT IDENTIFIER: a UUID of X.667 is far within', () => {
    expect(readDer(hex(`06 40 ${'55 '.repeat(64)}`)).contents).toHaveLength(64)
  })

  test('depth', () => {
    expect(readDer(nested(24)).raw).toHaveLength(48)
    expect(() => readDer(nested(25))).toThrow(refusal('der_invalid'))
    expect(() => readDer(nested(10_000))).toThrow(refusal('der_invalid'))
  })

  test.for([
    { name: 'openings without an end', bytes: Buffer.alloc(65_536, Buffer.of(0x30, 0x80)) },
    { name: 'empty members', bytes: tlv(0x30, Buffer.alloc(65_000, Buffer.of(0x05, 0x00))) },
  ])('time: $name', ({ bytes }) => {
    const start = process.threadCpuUsage()
    try {
      readDer(bytes)
    } catch (error) {
      expect(error).toEqual(refusal('der_invalid'))
    }
    // Of the processor, not by the clock: what else the machine does is no matter.
    const { user, system } = process.threadCpuUsage(start)
    expect((user + system) / 1000).toBeLessThan(1000)
  })
})
