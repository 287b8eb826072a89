import { Buffer } from 'node:buffer'
import { createPublicKey } from 'node:crypto'
import { parseAnchor, type Certificate } from '../pki/certificate.ts'
import { IdentityError } from '../runtime/errors.ts'
import { x509Bundle, type X509Bundle } from './bundle.ts'
import { parseExactJson } from './exact-json.ts'
import { pickPublicJwk, type PublicJwk } from './public-jwk.ts'
import type { TrustDomain } from './trust-domain.ts'

/** A key that JWT-SVIDs of a trust domain are verified with. */
export interface JwtAuthority {
  /** `kid`: unique in its bundle, never empty. */
  readonly keyId: string
  readonly jwk: PublicJwk
}

/** All that a trust domain publishes about itself. Plain data. */
export interface SpiffeBundle {
  readonly x509: X509Bundle
  readonly jwtAuthorities: readonly JwtAuthority[]
}

const MAX_CHARACTERS = 4 * 1024 * 1024
const MAX_SEQUENCE = 2n ** 64n - 1n
/** A year. No publisher means more; a hint must not switch refreshing off. */
const MAX_REFRESH_HINT_SECONDS = 366 * 24 * 3600

/**
 * The SPIFFE bundle document (a JWK Set) of a trust domain: `keys`, `spiffe_sequence` and, where given,
 * `spiffe_refresh_hint`. Each key has the members that its document defines, and no others.
 *
 * @see {@link https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE_Trust_Domain_and_Bundle.md#4-spiffe-bundle-format SPIFFE Trust Domain and Bundle §4}
 */
export function encodeBundleDocument({ x509, jwtAuthorities }: SpiffeBundle): string {
  const keys = [
    ...x509.authorities.map(({ spki, der }) => {
      const { kty, ...members } = createPublicKey({ key: spki, format: 'der', type: 'spki' }).export({ format: 'jwk' })
      // X509-SVID §6.1: one certificate in x5c, and no kid.
      return { use: 'x509-svid', kty, ...members, x5c: [der.toString('base64')] }
    }),
    ...jwtAuthorities.map(({ keyId, jwk }) => ({ use: 'jwt-svid', kid: keyId, ...pickPublicJwk({ ...jwk }) })),
  ]
  const members = [`"keys":${JSON.stringify(keys)}`, `"spiffe_sequence":${x509.sequence}`]
  if (x509.refreshHintSeconds !== undefined) members.push(`"spiffe_refresh_hint":${x509.refreshHintSeconds}`)
  return `{${members.join(',')}}`
}

/**
 * Reads a SPIFFE bundle document. Keys of an unknown kind or use, and members that nobody defined, are ignored (§4.1,
 * §4.2); sequence and hint may be missing. What is known but broken refuses the whole: half a bundle would silently
 * revoke.
 *
 * @param text at most 4,194,304 characters.
 * @throws {@link IdentityError} `bundle_invalid`.
 */
export function decodeBundleDocument(trustDomain: TrustDomain, text: string): SpiffeBundle {
  if (text.length > MAX_CHARACTERS) refuse(`it has more than ${MAX_CHARACTERS} characters`)
  const document = parseJson(text)
  if (!isObject(document)) return refuse('it is no JSON object')
  const { keys, spiffe_sequence: sequence, spiffe_refresh_hint: hint } = document
  if (!Array.isArray(keys)) return refuse('its keys are no list (§4.1.3)')

  const authorities: Certificate[] = []
  const jwtAuthorities = new Map<string, JwtAuthority>()
  for (const key of keys) {
    if (!isObject(key)) return refuse('one of its keys is no JSON object')
    if (key['use'] === 'x509-svid') authorities.push(...x509Authority(key))
    if (key['use'] === 'jwt-svid') addJwtAuthority(key, jwtAuthorities)
  }
  const x509 = x509Bundle(trustDomain, authorities, {
    sequence: readSequence(sequence),
    refreshHintSeconds: readRefreshHint(hint),
  })
  return { x509, jwtAuthorities: [...jwtAuthorities.values()] }
}

/** X509-SVID §6.2: the first certificate of `x5c`; without one the key is ignored. */
function x509Authority(key: Record<string, unknown>): Certificate[] {
  const { kty, x5c } = key
  if (kty !== 'EC' && kty !== 'RSA' && kty !== 'OKP') return []
  if (x5c === undefined) return []
  const first: unknown = Array.isArray(x5c) ? x5c[0] : undefined
  if (typeof first !== 'string') return refuse('the x5c of a key is no list of certificates')
  const der = Buffer.from(first, 'base64')
  if (der.length === 0 || der.toString('base64') !== first) return refuse('the x5c of a key is not padded base64')
  try {
    return [parseAnchor(der)]
  } catch (error) {
    throw new IdentityError('bundle_invalid', `${NOT_A_BUNDLE}: the x5c of a key is no certificate`, { cause: error })
  }
}

/** JWT-SVID §6.1: an entry has a `kid`; one that none can name is ignored. */
function addJwtAuthority(key: Record<string, unknown>, authorities: Map<string, JwtAuthority>): void {
  const { kid } = key
  const jwk = pickPublicJwk(key)
  if (typeof kid !== 'string' || kid === '' || !jwk) return
  if (authorities.has(kid)) refuse('two of its JWT keys have the same kid')
  authorities.set(kid, { keyId: kid, jwk })
}

/** §4.1.1: an integer that readers keep in at least 64 bits. */
function readSequence(value: unknown): bigint {
  if (value === undefined) return 0n
  const sequence = typeof value === 'bigint' ? value : Number.isInteger(value) ? BigInt(value as number) : -1n
  if (sequence < 0n || sequence > MAX_SEQUENCE) refuse('its spiffe_sequence is no integer of 64 bits')
  return sequence
}

/** §4.1.2: seconds, an integer. */
function readRefreshHint(value: unknown): number | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > MAX_REFRESH_HINT_SECONDS) {
    return refuse('its spiffe_refresh_hint is no number of seconds')
  }
  return value
}

function parseJson(text: string): unknown {
  try {
    return parseExactJson(text)
  } catch (error) {
    throw new IdentityError('bundle_invalid', `${NOT_A_BUNDLE}: it is no JSON, or ambiguous`, { cause: error })
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

const NOT_A_BUNDLE = 'not a SPIFFE bundle document'

function refuse(why: string): never {
  throw new IdentityError('bundle_invalid', `${NOT_A_BUNDLE}: ${why}`)
}
