import { create } from '@bufbuild/protobuf'
import { assert, base64String, json, oneof, property, string } from 'fast-check'
import { expect, test } from 'vitest'
import { IdentityError } from '../../core/runtime/errors.ts'
import { ListAgentsRequestSchema, ListIdentitiesRequestSchema } from '../../proto/gen/countersign/admin/v1/admin_pb.ts'
import { askedPage, MAX_PAGE_SIZE } from './page-token.ts'

const isPlace = (text: string) => /^[0-9a-f]+$/.test(text)
const asked = (change: Parameters<typeof create<typeof ListIdentitiesRequestSchema>>[1]) =>
  askedPage(ListIdentitiesRequestSchema, create(ListIdentitiesRequestSchema, change), isPlace)

test('a page has 100 entries where nothing is said, and 500 at most', () => {
  expect(asked({})).toMatchObject({ after: undefined, size: 100 })
  expect(asked({ pageSize: MAX_PAGE_SIZE }).size).toBe(MAX_PAGE_SIZE)
  expect(() => asked({ pageSize: MAX_PAGE_SIZE + 1 })).toThrow(expect.objectContaining({ code: 'request_invalid' }))
})

test('a token leads back to its place, whatever the size of the next page', () => {
  const pageToken = asked({ namespace: 'shop', pageSize: 10 }).tokenOf('40aa')
  expect(asked({ namespace: 'shop', pageSize: 20, pageToken })).toMatchObject({ after: '40aa', size: 20 })
  expect(asked({ namespace: 'shop' }).tokenOf(undefined)).toBe('')
})

test.for([
  { name: 'another filter', change: { namespace: 'ops' } },
  { name: 'no filter', change: {} },
])('a token is of no use with $name', ({ change }) => {
  const pageToken = asked({ namespace: 'shop' }).tokenOf('40aa')
  expect(() => asked({ ...change, pageToken })).toThrow(expect.objectContaining({ code: 'request_invalid' }))
})

test('a token of one method is of no use with another', () => {
  const pageToken = asked({ nodeName: 'a' }).tokenOf('40aa')
  const request = create(ListAgentsRequestSchema, { nodeName: 'a', pageToken })
  expect(() => askedPage(ListAgentsRequestSchema, request, () => true)).toThrow(
    expect.objectContaining({ code: 'request_invalid' }),
  )
})

test('a place that cannot be one is refused, though the token is well made', () => {
  const pageToken = asked({}).tokenOf("40' OR 1=1")
  expect(() => asked({ pageToken })).toThrow(expect.objectContaining({ code: 'request_invalid' }))
})

test('whatever else is sent as a token is refused, and nothing is thrown but that', () => {
  const encoded = json().map((text) => Buffer.from(text).toString('base64url'))
  assert(
    property(oneof(string({ minLength: 1 }), base64String({ minLength: 1 }), encoded), (pageToken) => {
      try {
        asked({ pageToken })
      } catch (error) {
        return error instanceof IdentityError && error.code === 'request_invalid'
      }
      return false
    }),
    { numRuns: 500 },
  )
})
