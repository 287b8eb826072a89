import fc from 'fast-check'
import { expect, test } from 'vitest'
import { IdentityError } from '../../core/runtime/errors.ts'
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
  const json = fc.oneof(fc.json(), fc.string(), fc.constant('{"alg":"RS256","kid":"k"}'))
  const texts = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.tuple(json, json).map(([header, body]) => token(header, body)),
  )
  fc.assert(
    fc.property(texts, (text) => {
      try {
        readServiceAccountToken(text)
      } catch (error) {
        expect(error).toBeInstanceOf(IdentityError)
        expect((error as IdentityError).code).toBe('token_malformed')
      }
    }),
    { numRuns: 200 },
  )
})
