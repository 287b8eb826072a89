import { createHmac } from 'node:crypto'
import { SigningKeys } from '../../broker/attestation/signing-keys.ts'
import { TokenPrecheck } from '../../broker/attestation/token-precheck.ts'
import { tokenFacts } from '../fakes/attested.ts'
import { FakeClock } from '../fakes/fake-clock.ts'
import { type Claims, TokenIssuer } from '../fakes/token-issuer.ts'
import { defineTarget, property } from './harness.ts'
import type { Rng } from './rng.ts'

const AUDIENCE = 'countersign.dev/td'
const clock = new FakeClock()
const issuer = new TokenIssuer({ clock })
const stranger = new TokenIssuer({ clock })
const NOW = clock.now().getTime() / 1000
const KEY_ID = String(issuer.jwks().keys[0]?.['kid'])

const precheck = new TokenPrecheck(
  { keys: new SigningKeys({ fetchJwks: () => Promise.resolve(issuer.jwks()), clock }), clock },
  { issuer: issuer.issuer, audience: AUDIENCE, maxLifetimeMs: 3_600_000 },
)
const { signal } = new AbortController()

const CLAIMS = issuer.claimsOf({ facts: tokenFacts(), audience: AUDIENCE })
const GOOD = issuer.sign(CLAIMS)
const FORGED = stranger.sign(CLAIMS, { kid: KEY_ID })

const VALUES: readonly unknown[] = [
  null,
  undefined,
  '',
  'x',
  0,
  -1,
  1e308,
  NOW,
  NOW + 600,
  NOW + 1e9,
  true,
  [],
  {},
  [AUDIENCE],
  [null],
  { name: 'a' },
  { name: 'a', uid: 'b' },
  { length: 1, 0: AUDIENCE },
  'a'.repeat(20_000),
  '\u0000',
  'ü',
]

export const target = defineTarget<string>({
  name: 'jwt',
  generate(rng) {
    // Signing takes most of the time, so half of the tokens are made once.
    if (rng.oneIn(2)) return rng.oneIn(3) ? bendText(rng, rng.pick([GOOD, FORGED])) : rng.pick([GOOD, FORGED])
    const signer = rng.oneIn(4) ? stranger : issuer
    const header = rng.oneIn(4) ? bendObject(rng, { alg: 'RS256', kid: KEY_ID }) : { kid: KEY_ID }
    const token = rng.oneIn(12) ? hmac(CLAIMS) : signer.sign(bendClaims(rng, CLAIMS), header)
    return rng.oneIn(3) ? bendText(rng, token) : token
  },
  run: (token) => check(token, (text) => precheck.check(text, signal)),
  plantedFault: {
    description: 'claims that are read without looking at the signature',
    run: (token) => check(token, readUnverified),
  },
})

/** What is accepted was signed by the issuer, character for character, and says what it must. */
async function check(token: string, read: (token: string) => Promise<unknown>): Promise<void> {
  await read(token)
  const claims = issuer.verify(token)
  property(claims !== undefined, 'a token was accepted that the issuer has not signed')
  property(token === `${token.split('.').slice(0, 2).join('.')}.${canonical(token)}`, 'two texts are one token')
  property([claims['aud']].flat().includes(AUDIENCE), 'a token for another audience was accepted')
  property(Number(claims['exp']) > NOW && Number(claims['exp']) - Number(claims['iat']) <= 3600, 'times were ignored')
  const bound = claims['kubernetes.io'] as Record<string, { uid?: unknown } | undefined>
  property(
    typeof bound['pod']?.uid === 'string' && typeof bound['node']?.uid === 'string',
    'an unbound token was accepted',
  )
}

function canonical(token: string): string {
  return Buffer.from(token.split('.')[2] ?? '', 'base64url').toString('base64url')
}

async function readUnverified(token: string): Promise<unknown> {
  try {
    return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
  } catch {
    return precheck.check(token, signal)
  }
}

function hmac(claims: Claims): string {
  const [header, body] = [{ alg: 'HS256', kid: KEY_ID }, claims].map((value) =>
    Buffer.from(JSON.stringify(value)).toString('base64url'),
  )
  const secret = JSON.stringify(issuer.jwks().keys[0])
  return `${header}.${body}.${createHmac('sha256', secret).update(`${header}.${body}`).digest('base64url')}`
}

function bendClaims(rng: Rng, claims: Claims): Claims {
  if (rng.oneIn(2)) return bendObject(rng, claims)
  return { ...claims, 'kubernetes.io': bendObject(rng, claims['kubernetes.io'] as Claims) }
}

function bendObject(rng: Rng, object: Claims): Claims {
  return { ...object, [rng.pick([...Object.keys(object), 'crit', '__proto__'])]: rng.pick(VALUES) }
}

function bendText(rng: Rng, text: string): string {
  const at = rng.below(text.length + 1)
  const piece = rng.pick(['', '.', '..', '=', '\n', ' ', '-', '+', '/', 'A', 'ü', '\u0000', 'A'.repeat(20_000)])
  return text.slice(0, at) + piece + text.slice(at + rng.below(3))
}
