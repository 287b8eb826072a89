import { createPublicKey } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { A_EXAMPLE, anAuthority } from '../../test/vectors/issued.ts'
import { refusal } from '../../test/vectors/refusal.ts'
import { decodeBundleDocument, encodeBundleDocument, type SpiffeBundle } from './bundle-document.ts'
import { x509Bundle } from './bundle.ts'

const one = anAuthority()
const two = anAuthority()
const x5c = (certificate: { der: Buffer }): string[] => [certificate.der.toString('base64')]
const rsaJwk = { kty: 'RSA', n: 'AQAB', e: 'AQAB' } as const
const ecJwk = { kty: 'EC', crv: 'P-256', x: 'AQ', y: 'Ag' } as const

const bundle: SpiffeBundle = {
  x509: x509Bundle(A_EXAMPLE, [one.certificate, two.certificate], { sequence: 7n, refreshHintSeconds: 300 }),
  jwtAuthorities: [
    { keyId: 'k1', jwk: ecJwk },
    { keyId: 'k2', jwk: rsaJwk },
  ],
}

const decode = (document: unknown): SpiffeBundle => decodeBundleDocument(A_EXAMPLE, JSON.stringify(document))

describe('a document that is written', () => {
  const document = JSON.parse(encodeBundleDocument(bundle)) as { keys: Record<string, unknown>[] }

  test('reads as it was', () => expect(decodeBundleDocument(A_EXAMPLE, encodeBundleDocument(bundle))).toEqual(bundle))

  // IB-02, IB-03
  test('has sequence and hint', () => {
    expect(document).toMatchObject({ spiffe_sequence: 7, spiffe_refresh_hint: 300 })
  })

  // IB-04, IB-05
  test('has one entry for each X.509 authority, without kid, whose members are its key', () => {
    const entries = document.keys.filter(({ use }) => use === 'x509-svid')
    expect(entries.map(({ x5c: certificates }) => certificates)).toEqual([x5c(one.certificate), x5c(two.certificate)])
    for (const [index, { use: _use, x5c: _x5c, ...jwk }] of entries.entries()) {
      const { spki } = [one, two][index]?.certificate ?? one.certificate
      expect(createPublicKey({ key: jwk, format: 'jwk' }).export({ format: 'der', type: 'spki' })).toEqual(spki)
    }
  })

  // IB-06, IB-08
  test('has the members that the standard defines, and no others', () => {
    const names = document.keys.map((key) => Object.keys(key).sort().join())
    expect(names).toEqual(['crv,kty,use,x,x5c,y', 'crv,kty,use,x,x5c,y', 'crv,kid,kty,use,x,y', 'e,kid,kty,n,use'])
  })

  test('invariant 6: never has a private member, whatever it is handed', () => {
    const jwk = { ...rsaJwk, d: 'secret', p: 'secret', q: 'secret', dp: 'secret', dq: 'secret', qi: 'secret' }
    const text = encodeBundleDocument({ ...bundle, jwtAuthorities: [{ keyId: 'k', jwk }] })
    expect(text).not.toContain('secret')
  })

  // IB-01
  test('has keys even if there are none', () => {
    expect(encodeBundleDocument({ x509: x509Bundle(A_EXAMPLE, []), jwtAuthorities: [] })).toBe(
      '{"keys":[],"spiffe_sequence":0}',
    )
  })
})

describe('a document that is read', () => {
  const x509Key = { kty: 'EC', use: 'x509-svid', x5c: x5c(one.certificate) }

  // VB-05
  test('needs keys alone', () => {
    const { x509, jwtAuthorities } = decode({ keys: [x509Key] })
    expect(x509).toEqual(x509Bundle(A_EXAMPLE, [one.certificate]))
    expect(jwtAuthorities).toEqual([])
  })

  // VB-01, VB-02, IB-09
  test.for([
    { name: 'of an unknown kind', key: { ...x509Key, kty: 'OKP2' } },
    { name: 'without a kind', key: { use: 'x509-svid', x5c: x5c(one.certificate) } },
    { name: 'of an unknown use', key: { ...x509Key, use: 'foo' } },
    { name: 'of a use in another case', key: { ...x509Key, use: 'X509-SVID' } },
    { name: 'without a use', key: { kty: 'EC', x5c: x5c(one.certificate) } },
    { name: 'without x5c', key: { kty: 'EC', use: 'x509-svid' } },
    { name: 'for JWTs without kid', key: { ...ecJwk, use: 'jwt-svid' } },
    { name: 'for JWTs that is secret', key: { kty: 'oct', k: 'AQ', kid: 'k', use: 'jwt-svid' } },
    { name: 'for JWTs without its point', key: { kty: 'EC', crv: 'P-256', x: 'AQ', kid: 'k', use: 'jwt-svid' } },
  ])('ignores a key $name and keeps the rest', ({ key }) => {
    const { x509, jwtAuthorities } = decode({ keys: [key, { ...x509Key, x5c: x5c(two.certificate) }], extra: 1 })
    expect(x509.authorities).toEqual([two.certificate])
    expect(jwtAuthorities).toEqual([])
  })

  // VB-02
  test('takes the first of several certificates of a key', () => {
    const key = { ...x509Key, x5c: [...x5c(one.certificate), ...x5c(two.certificate)] }
    expect(decode({ keys: [key] }).x509.authorities).toEqual([one.certificate])
  })

  test('takes an authority once', () => {
    expect(decode({ keys: [x509Key, x509Key] }).x509.authorities).toEqual([one.certificate])
  })

  // VJ-10
  test('keeps the uses apart', () => {
    const { x509, jwtAuthorities } = decode({
      keys: [{ ...ecJwk, use: 'jwt-svid', kid: 'k', x5c: x5c(one.certificate) }],
    })
    expect(x509.authorities).toEqual([])
    expect(jwtAuthorities).toEqual([{ keyId: 'k', jwk: ecJwk }])
  })

  // VB-07
  test.for([
    { text: '9007199254740993', sequence: 9007199254740993n },
    { text: '9007199254740992', sequence: 9007199254740992n },
    { text: '18446744073709551615', sequence: 2n ** 64n - 1n },
    { text: '0', sequence: 0n },
  ])('keeps the sequence $text exact', ({ text, sequence }) => {
    const read = decodeBundleDocument(A_EXAMPLE, `{"keys":[],"spiffe_sequence":${text}}`)
    expect(read.x509.sequence).toBe(sequence)
    expect(encodeBundleDocument(read)).toContain(`"spiffe_sequence":${text}`)
  })

  test.for([
    { name: 'no JSON', text: '{' },
    { name: 'a list', text: '[]' },
    { name: 'null', text: 'null' },
    { name: 'no keys', text: '{}' },
    { name: 'null keys', text: '{"keys":null}' },
    { name: 'a key that is no object', text: '{"keys":[1]}' },
    { name: 'two lists of keys', text: '{"keys":[],"keys":[]}' },
    { name: 'two lists of keys, one spelled otherwise', text: '{"keys":[],"\\u006beys":[]}' },
    { name: 'two uses of a key', text: '{"keys":[{"use":"x","use":"y"}]}' },
    { name: 'a sequence that is negative', text: '{"keys":[],"spiffe_sequence":-1}' },
    { name: 'a sequence that is a fraction', text: '{"keys":[],"spiffe_sequence":1.5}' },
    { name: 'a sequence beyond 64 bits', text: '{"keys":[],"spiffe_sequence":18446744073709551616}' },
    { name: 'a sequence in a string', text: '{"keys":[],"spiffe_sequence":"1"}' },
    { name: 'a sequence that is rounded', text: '{"keys":[],"spiffe_sequence":1e30}' },
    { name: 'a hint that is a fraction', text: '{"keys":[],"spiffe_refresh_hint":0.5}' },
    { name: 'a hint of centuries', text: '{"keys":[],"spiffe_refresh_hint":99999999999}' },
    { name: 'x5c that is no list', text: '{"keys":[{"kty":"EC","use":"x509-svid","x5c":"AQ=="}]}' },
    { name: 'x5c that is empty', text: '{"keys":[{"kty":"EC","use":"x509-svid","x5c":[]}]}' },
    { name: 'x5c in base64url', text: '{"keys":[{"kty":"EC","use":"x509-svid","x5c":["-_-_"]}]}' },
    { name: 'x5c without padding', text: '{"keys":[{"kty":"EC","use":"x509-svid","x5c":["AQ"]}]}' },
    { name: 'x5c that is no certificate', text: '{"keys":[{"kty":"EC","use":"x509-svid","x5c":["AQ=="]}]}' },
    { name: 'more text than allowed', text: ' '.repeat(4 * 1024 * 1024 + 1) },
  ])('refuses $name', ({ text }) => {
    expect(() => decodeBundleDocument(A_EXAMPLE, text)).toThrow(refusal('bundle_invalid'))
  })

  test('refuses two JWT keys of one name', () => {
    const key = { ...ecJwk, use: 'jwt-svid', kid: 'k' }
    expect(() => decode({ keys: [key, key] })).toThrow(refusal('bundle_invalid', 'same kid'))
  })
})
