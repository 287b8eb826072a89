import { expect, test } from 'vitest'
import { given, givenSerialNumber, givenSpiffeIdPrefix, givenTime, objectName } from './request-fields.ts'

test.for([
  ['', undefined],
  ['40aa01', '40aa01'],
  ['40AA01', '40aa01'],
  ['00:40:AA:01', '40aa01'],
  ['0040aa01', '40aa01'],
  ['1', '01'],
] as const)('the serial number %s is %s', ([text, expected]) => {
  expect(givenSerialNumber('serial_number', text)).toBe(expected)
})

test.for(['0x40', '40 aa', 'ag', '0', `4${'0'.repeat(40)}`, '%', "40' OR '1'='1"])('%s is no serial number', (text) => {
  expect(() => givenSerialNumber('serial_number', text)).toThrow(expect.objectContaining({ code: 'request_invalid' }))
})

test.for([
  ['spiffe://prod.example', 'spiffe://prod.example'],
  ['spiffe://prod.example/', 'spiffe://prod.example'],
  ['spiffe://prod.example/ns/shop/', 'spiffe://prod.example/ns/shop'],
] as const)('the prefix %s is %s', ([text, expected]) => {
  expect(givenSpiffeIdPrefix('spiffe_id_prefix', text)).toBe(expected)
})

test.for([
  'prod.example/ns',
  'spiffe://',
  'spiffe://prod.example//',
  'spiffe://prod.example/ns/%',
  '/ns/shop',
  'spiffe://prod.example/../x',
])('%s is no prefix', (text) => {
  expect(() => givenSpiffeIdPrefix('spiffe_id_prefix', text)).toThrow(
    expect.objectContaining({ code: 'request_invalid', message: expect.stringMatching(/^spiffe_id_prefix: /) }),
  )
})

test.for(['', '.', '..', 'a/b', 'A', 'a_b', '-a', 'a'.repeat(254), 'a%2fb', 'a?x', 'a#'])('%j is no name', (text) => {
  expect(() => objectName('name', text)).toThrow(expect.objectContaining({ code: 'request_invalid' }))
})

test('control characters and long texts are no names of anything', () => {
  for (const text of ['a\n', '\0', 'x'.repeat(2049)]) {
    expect(() => given('node_name', text)).toThrow(expect.objectContaining({ code: 'request_invalid' }))
  }
  expect(given('node_name', '')).toBeUndefined()
})

test('a time beyond all times is none', () => {
  const timestamp = { $typeName: 'google.protobuf.Timestamp', seconds: 10n ** 15n, nanos: 0 } as const
  expect(() => givenTime('since', timestamp)).toThrow(expect.objectContaining({ code: 'request_invalid' }))
})
