import { create, toBinary } from '@bufbuild/protobuf'
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import { expect, test } from 'vitest'
import { IssueX509SvidsRequestSchema, SyncRequestSchema } from './gen/countersign/node/v1/node_pb.ts'
import { decodeRequest, MAX_FIELDS } from './request-message.ts'

const hello = (count: number) =>
  toBinary(
    SyncRequestSchema,
    create(SyncRequestSchema, {
      message: { case: 'hello', value: { heldSerialNumbers: Array.from({ length: count }, () => 'ab') } },
    }),
  )

test('what is within the bounds is decoded', () => {
  const { message } = decodeRequest(SyncRequestSchema, hello(MAX_FIELDS - 1))
  expect(message.case === 'hello' && message.value.heldSerialNumbers).toHaveLength(MAX_FIELDS - 1)
  expect(decodeRequest(SyncRequestSchema, new Uint8Array()).message.case).toBeUndefined()
})

const pairs = (count: number, ...pair: number[]) =>
  Buffer.concat(Array.from({ length: count }, () => Buffer.from(pair)))
/** A path of numbers, which stand packed: field 1 of `source_code_info.location` of the file. */
const packed = (count: number) => {
  const file = { sourceCodeInfo: { location: [{ path: Array.from({ length: count }, () => 1) }] } }
  return toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file: [file] }))
}

test.for([
  ['empty messages', IssueX509SvidsRequestSchema, pairs(MAX_FIELDS + 1, 0x0a, 0)],
  ['fields that nobody knows', IssueX509SvidsRequestSchema, pairs(MAX_FIELDS + 1, 0x78, 0)],
  ['elements of a list in a message within', SyncRequestSchema, hello(MAX_FIELDS)],
  ['numbers that stand packed', FileDescriptorSetSchema, packed(3 * MAX_FIELDS)],
] as const)('too many %s are refused before they are objects', ([, schema, bytes]) => {
  expect(() => decodeRequest(schema, bytes)).toThrow(
    expect.objectContaining({
      code: 'request_invalid',
      message: expect.stringContaining(`more than ${MAX_FIELDS} fields`) as string,
    }),
  )
})

test('what nobody knows is not kept', () => {
  const request = decodeRequest(IssueX509SvidsRequestSchema, pairs(100, 0x78, 0))
  expect(request.$unknown).toBeUndefined()
})

test.for([
  ['a length beyond the end', Buffer.from([0x0a, 0x7f])],
  ['no tag', Buffer.from([0xff, 0xff])],
  ['groups in groups without end', pairs(40_000, 0x7b)],
  ['the same in what is counted', Buffer.concat([pairs(20_000, 0x7b), Buffer.alloc(20_000)])],
] as const)('%s is refused as invalid', ([, bytes]) => {
  expect(() => decodeRequest(IssueX509SvidsRequestSchema, bytes)).toThrow(
    expect.objectContaining({ code: 'request_invalid' }),
  )
})
