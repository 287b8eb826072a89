import { Buffer } from 'node:buffer'
import { IdentityError } from '../../core/runtime/errors.ts'

/** The largest token that is looked at. Real ones take about 1.2 KiB. */
export const MAX_TOKEN_BYTES = 16 * 1024

/** Three parts in base64url without padding (RFC 7515 §7.1), none of them empty: an unsigned token has an empty third. */
const COMPACT_FORM = /^[\w-]+\.[\w-]+\.[\w-]+$/

/** `kid` is a hash in base64url where the API server made it; an external signer may choose up to 1024 bytes. */
const MAX_KEY_ID_LENGTH = 1024

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
/** By the length modulo 4: what the last character's value must be a multiple of. A single character holds no byte. */
const SURPLUS: readonly (number | undefined)[] = [1, undefined, 16, 4]

/** A token taken apart. Nothing of it is believed yet. */
export interface ServiceAccountToken {
  readonly algorithm: string
  readonly keyId: string
  readonly claims: Readonly<Record<string, unknown>>
  /** Header and claims as they were signed. */
  readonly signed: string
  readonly signature: Buffer
}

/**
 * Takes a JWS in compact form (RFC 7515 §3.1) apart. There is exactly one way to write a token: what decodes only
 * leniently is refused, so that no two texts are the same token.
 *
 * @throws {@link IdentityError} `token_too_large` beyond 16 KiB, `token_malformed`.
 */
export function readServiceAccountToken(token: string): ServiceAccountToken {
  if (token.length > MAX_TOKEN_BYTES) {
    throw new IdentityError('token_too_large', `the token is larger than ${MAX_TOKEN_BYTES} bytes`)
  }
  if (!COMPACT_FORM.test(token)) malformed('it is not three parts in base64url')
  const firstDot = token.indexOf('.')
  const lastDot = token.lastIndexOf('.')
  const header = readObject(token.slice(0, firstDot), 'header')
  const { alg, kid } = header
  if (typeof alg !== 'string') malformed('its header names no algorithm')
  if (typeof kid !== 'string' || kid === '' || kid.length > MAX_KEY_ID_LENGTH) malformed('its header names no key')
  // RFC 7515 §4.1.11: extensions that must be understood are not.
  if ('crit' in header) malformed('its header has critical extensions')
  return {
    algorithm: alg,
    keyId: kid,
    claims: readObject(token.slice(firstDot + 1, lastDot), 'body'),
    signed: token.slice(0, lastDot),
    signature: decode(token.slice(lastDot + 1), 'signature'),
  }
}

function readObject(part: string, what: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(decode(part, what).toString('utf8'))
  } catch (error) {
    // The parser's message quotes what it read, and so goes nowhere (invariant 6).
    if (error instanceof SyntaxError) malformed(`its ${what} is not JSON`)
    throw error
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) malformed(`its ${what} is not a JSON object`)
  return value as Record<string, unknown>
}

/**
 * Node's decoder passes over what it does not know, which {@link COMPACT_FORM} has ruled out, and ignores surplus bits:
 * those of the last character that reach beyond the last byte must be zero (RFC 4648 §3.5).
 */
function decode(part: string, what: string): Buffer {
  const surplus = SURPLUS[part.length % 4]
  const last = ALPHABET.indexOf(part.charAt(part.length - 1))
  if (surplus === undefined || last % surplus !== 0) malformed(`its ${what} is not canonical base64url`)
  return Buffer.from(part, 'base64url')
}

function malformed(why: string): never {
  throw new IdentityError('token_malformed', `not a ServiceAccount token: ${why}`)
}
