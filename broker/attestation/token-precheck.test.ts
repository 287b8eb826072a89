import { createHmac, createPublicKey, generateKeyPairSync, type JsonWebKey, sign } from 'node:crypto'
import { expect, test } from 'vitest'
import type { IdentityError } from '../../core/runtime/errors.ts'
import { tokenFacts } from '../../test/fakes/attested.ts'
import { FakeClock } from '../../test/fakes/fake-clock.ts'
import { type Claims, TokenIssuer } from '../../test/fakes/token-issuer.ts'
import { SigningKeys } from './signing-keys.ts'
import { TokenPrecheck, type TokenRules } from './token-precheck.ts'

const AUDIENCE = 'countersign.dev/prod.example'
const clock = new FakeClock()
const issuer = new TokenIssuer({ clock })
const signal = new AbortController().signal
const nowSeconds = clock.now().getTime() / 1000

function precheckFor(jwks: unknown, rules: Partial<TokenRules> = {}) {
  const keys = new SigningKeys({ fetchJwks: () => Promise.resolve(jwks), clock })
  return new TokenPrecheck(
    { keys, clock },
    { issuer: issuer.issuer, audience: AUDIENCE, maxLifetimeMs: 3_600_000, ...rules },
  )
}
const precheck = precheckFor(issuer.jwks())

const claims = (changes: Claims = {}): Claims => ({
  ...issuer.claimsOf({ facts: tokenFacts(), audience: AUDIENCE }),
  ...changes,
})
const signed = (changes: Claims, header: Claims = {}) => issuer.sign(claims(changes), header)
const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** The private claims with some of them changed. */
const bound = (changes: Record<string, unknown>) =>
  signed({ 'kubernetes.io': { ...(claims()['kubernetes.io'] as object), ...changes } })

test('accepts a pod-bound token and says what it says', async () => {
  expect(await precheck.check(signed({}), signal)).toEqual(tokenFacts())
})

test.for([
  { name: 'an audience that is not in a list', changes: { aud: AUDIENCE } },
  { name: 'a token of a clock 59 s ahead', changes: { iat: nowSeconds + 59, nbf: nowSeconds + 59 } },
  { name: 'a token in its last second', changes: { iat: nowSeconds - 3599, exp: nowSeconds + 1 } },
])('accepts $name', async ({ changes }) => {
  expect(await precheck.check(signed(changes), signal)).toEqual(tokenFacts())
})

test.for([
  { name: 'a token of 1 MiB', token: () => 'a'.repeat(1024 * 1024), code: 'token_too_large' },
  { name: 'a signed token over 16 KiB', token: () => signed({ x: 'y'.repeat(16_384) }), code: 'token_too_large' },
  { name: 'nothing', token: () => '', code: 'token_malformed' },
  { name: 'two parts', token: () => 'a.b', code: 'token_malformed' },
  { name: 'five parts, as an encrypted one has', token: () => 'a.b.c.d.e', code: 'token_malformed' },
  { name: 'a line break at its end', token: () => `${signed({})}\n`, code: 'token_malformed' },
  { name: 'padding', token: () => `${signed({})}==`, code: 'token_malformed' },
  { name: 'a body that is not JSON', token: () => 'e30.YQ.YQ', code: 'token_malformed' },
  {
    name: 'a body that is a list',
    token: () => `${part({ alg: 'RS256', kid: 'a' })}.${part([])}.YQ`,
    code: 'token_malformed',
  },
  {
    name: 'a body that is null',
    token: () => `${part({ alg: 'RS256', kid: 'a' })}.${part(null)}.YQ`,
    code: 'token_malformed',
  },
  { name: 'no kid', token: () => signed({}, { kid: undefined }), code: 'token_malformed' },
  { name: 'critical extensions', token: () => signed({}, { crit: ['exp'] }), code: 'token_malformed' },
  {
    name: 'an unsigned token',
    token: () => `${part({ alg: 'none', kid: 'a' })}.${part(claims())}.`,
    code: 'token_malformed',
  },
  { name: 'alg none with a signature', token: () => signed({}, { alg: 'none' }), code: 'token_malformed' },
  {
    name: 'alg by the name of an inherited property',
    token: () => signed({}, { alg: 'toString' }),
    code: 'token_malformed',
  },
  { name: 'HS256 keyed with the public key', token: hmacWithPublicKey, code: 'token_malformed' },
  { name: 'another issuer', token: () => signed({ iss: 'https://other.example' }), code: 'token_issuer_wrong' },
  { name: 'another audience', token: () => signed({ aud: ['vault'] }), code: 'token_audience_wrong' },
  {
    name: 'an audience that only begins as ours',
    token: () => signed({ aud: `${AUDIENCE}.evil` }),
    code: 'token_audience_wrong',
  },
  {
    name: 'an audience besides ours: that one has the token, too',
    token: () => signed({ aud: [AUDIENCE, 'vault'] }),
    code: 'token_audience_wrong',
  },
  { name: 'no audience', token: () => signed({ aud: undefined }), code: 'token_audience_wrong' },
  {
    name: 'an audience that is an object',
    token: () => signed({ aud: { [AUDIENCE]: 1 } }),
    code: 'token_audience_wrong',
  },
  { name: 'an expired token', token: () => signed({ exp: nowSeconds, iat: nowSeconds - 600 }), code: 'token_expired' },
  { name: 'no exp', token: () => signed({ exp: undefined }), code: 'token_malformed' },
  { name: 'no iat', token: () => signed({ iat: undefined }), code: 'token_malformed' },
  { name: 'exp as a text', token: () => signed({ exp: '9999999999' }), code: 'token_malformed' },
  { name: 'exp that is infinite', token: infinite, code: 'token_malformed' },
  {
    name: 'exp before iat',
    token: () => signed({ iat: nowSeconds + 10, exp: nowSeconds + 5 }),
    code: 'token_malformed',
  },
  { name: 'a token for later', token: () => signed({ nbf: nowSeconds + 61 }), code: 'token_not_yet_valid' },
  { name: 'a token issued later', token: () => signed({ iat: nowSeconds + 61 }), code: 'token_not_yet_valid' },
  { name: 'a longer life than allowed', token: () => signed({ exp: nowSeconds + 3601 }), code: 'token_too_long_lived' },
  { name: 'no private claims', token: () => signed({ 'kubernetes.io': undefined }), code: 'token_unbound' },
  { name: 'no pod', token: () => bound({ pod: undefined }), code: 'token_unbound' },
  { name: 'no node', token: () => bound({ node: undefined }), code: 'token_unbound' },
  { name: 'a pod without UID', token: () => bound({ pod: { name: 'cart-0' } }), code: 'token_unbound' },
  { name: 'a node without UID', token: () => bound({ node: { name: 'node-a' } }), code: 'token_unbound' },
  { name: 'a pod with an empty UID', token: () => bound({ pod: { name: 'cart-0', uid: '' } }), code: 'token_unbound' },
  { name: 'a namespace that is a number', token: () => bound({ namespace: 7 }), code: 'token_unbound' },
  { name: 'no ServiceAccount', token: () => bound({ serviceaccount: null }), code: 'token_unbound' },
  {
    name: 'a sub of another ServiceAccount',
    token: () => signed({ sub: 'system:serviceaccount:shop:admin' }),
    code: 'token_malformed',
  },
  { name: 'no jti', token: () => signed({ jti: undefined }), code: 'token_malformed' },
  { name: 'a changed claim', token: () => forged(signed({})), code: 'token_signature_invalid' },
  { name: 'a signature cut short', token: () => signed({}).slice(0, -2), code: 'token_signature_invalid' },
  { name: 'a key that nobody has', token: () => signed({}, { kid: 'unknown' }), code: 'token_signature_invalid' },
  { name: "another's key under a known kid", token: () => signedByOther(), code: 'token_signature_invalid' },
  {
    name: 'another algorithm than the key has',
    token: () => signed({}, { alg: 'ES256' }),
    code: 'token_signature_invalid',
  },
])('refuses $name: $code', async ({ token, code }) => {
  const text = token()
  const refusal = await precheck.check(text, signal).catch((error: unknown) => error)
  expect(refusal).toMatchObject({ name: 'IdentityError', code })
  // Invariant 6: whatever was wrong, no part of the token is repeated.
  const { message, cause } = refusal as Error
  const pieces = text.split('.').filter(({ length }) => length > 8)
  expect(pieces.filter((piece) => `${message} ${String(cause)}`.includes(piece.slice(0, 40)))).toEqual([])
})

test('refuses a token whose key has left the JWKS, once the keys are fetched again', async () => {
  const other = new TokenIssuer({ clock })
  const keys = new SigningKeys({ fetchJwks: () => Promise.resolve(other.jwks()), clock })
  const check = new TokenPrecheck(
    { keys, clock },
    { issuer: other.issuer, audience: AUDIENCE, maxLifetimeMs: 3_600_000 },
  )
  const token = other.mint({ facts: tokenFacts(), audience: AUDIENCE })
  await check.check(token, signal)
  other.replaceKey()
  await clock.advance(61_000)
  // The old key serves once more while the new ones are fetched.
  await check.check(token, signal)
  const code = () =>
    check.check(token, signal).then(
      () => 'accepted',
      (error: IdentityError) => error.code,
    )
  await expect.poll(code).toBe('token_signature_invalid')
})

test.for([
  { name: 'ES256', namedCurve: 'P-256', digest: 'sha256' },
  { name: 'ES384', namedCurve: 'P-384', digest: 'sha384' },
  { name: 'ES512', namedCurve: 'P-521', digest: 'sha512' },
])('accepts $name of an API server with such a key', async ({ name, namedCurve, digest }) => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve })
  const check = precheckFor({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'ec' }] })
  const data = `${part({ alg: name, kid: 'ec' })}.${part(issuer.claimsOf({ facts: tokenFacts(), audience: AUDIENCE }))}`
  const signature = sign(digest, Buffer.from(data), { key: privateKey, dsaEncoding: 'ieee-p1363' })
  expect(await check.check(`${data}.${signature.toString('base64url')}`, signal)).toEqual(tokenFacts())
  const der = sign(digest, Buffer.from(data), privateKey)
  await expect(check.check(`${data}.${der.toString('base64url')}`, signal)).rejects.toMatchObject({
    code: 'token_signature_invalid',
  })
})

test('an issuer that is discovered is waited for', async () => {
  const check = precheckFor(issuer.jwks(), { issuer: () => Promise.resolve(issuer.issuer) })
  expect(await check.check(signed({}), signal)).toEqual(tokenFacts())
})

function hmacWithPublicKey(): string {
  const [jwk] = issuer.jwks().keys
  const pem = createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' }).export({ format: 'pem', type: 'spki' })
  const data = `${part({ alg: 'HS256', kid: jwk?.['kid'] })}.${part(claims())}`
  return `${data}.${createHmac('sha256', pem).update(data).digest('base64url')}`
}

function infinite(): string {
  const [header = '', body = '', signature = ''] = signed({ exp: 123_456 }).split('.')
  const text = Buffer.from(body, 'base64url').toString().replace('123456', '1e999')
  return `${header}.${Buffer.from(text).toString('base64url')}.${signature}`
}

function forged(token: string): string {
  const [header = '', body = '', signature = ''] = token.split('.')
  const text = Buffer.from(body, 'base64url').toString().replaceAll('cart', 'bank')
  return `${header}.${Buffer.from(text).toString('base64url')}.${signature}`
}

function signedByOther(): string {
  const [jwk] = issuer.jwks().keys
  return new TokenIssuer({ clock }).sign(claims(), { kid: jwk?.['kid'] })
}
