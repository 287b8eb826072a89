import { assert, constant, json, oneof, property, string, tuple } from 'fast-check'
import { expect, test } from 'vitest'
import { codeOf } from '../../core/runtime/errors.ts'
import { readServiceAccountToken } from './service-account-token.ts'

const base64url = (text: string) => Buffer.from(text).toString('base64url')
const token = (header: string, body: string) => `${base64url(header)}.${base64url(body)}.c2ln`

test('takes a token apart', () => {
  const text = token('{"alg":"RS256","kid":"k"}', '{"a":1}')
  expect(readServiceAccountToken(text)).toEqual({
    algorithm: 'RS256',
    keyId: 'k',
    claims: { a: 1 },
    signed: text.slice(0, text.lastIndexOf('.')),
    signature: Buffer.from('sig'),
  })
})

test('no two texts are the same token: surplus bits are refused', () => {
  // "YQ" and "YR" both decode to "a".
  expect(() => readServiceAccountToken(`${base64url('{"alg":"RS256","kid":"k"}')}.e30.YQ`)).not.toThrow()
  expect(() => readServiceAccountToken(`${base64url('{"alg":"RS256","kid":"k"}')}.e30.YR`)).toThrow(
    expect.objectContaining({ code: 'token_malformed', message: expect.stringContaining('canonical') }),
  )
})

test('whatever comes is read or refused, never anything else', () => {
  const part = oneof(json(), string(), constant('{"alg":"RS256","kid":"k"}'))
  const texts = oneof(
    string({ unit: 'binary' }),
    tuple(part, part).map(([header, body]) => token(header, body)),
  )
  const outcome = (text: string) => {
    try {
      readServiceAccountToken(text)
      return 'read'
    } catch (error) {
      return codeOf(error)
    }
  }
  assert(
    property(texts, (text) => ['read', 'token_malformed'].includes(outcome(text))),
    { numRuns: 100 },
  )
})
