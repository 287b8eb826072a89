import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'

/** How a ServiceAccount token may be signed: what the API server and its external signers do. No symmetric one, ever. */
export type TokenAlgorithm = 'RS256' | 'ES256' | 'ES384' | 'ES512'

/** A key that tokens are verified with. Its algorithm is the key's, never the token's choice (RFC 8725 §3.1). */
export interface SigningKey {
  readonly algorithm: TokenAlgorithm
  readonly key: KeyObject
}

const EC_ALGORITHMS: Readonly<Record<string, TokenAlgorithm>> = { 'P-256': 'ES256', 'P-384': 'ES384', 'P-521': 'ES512' }

/** More keys than a cluster has while it rotates; each costs memory for good. */
const MAX_KEYS = 64
/** RFC 8725 §3.5, NIST SP 800-131A. */
const MIN_RSA_BITS = 2048

/**
 * The keys of a JWK Set (RFC 7517 §5) by their `kid`. Those that are of no use here are passed over, as §5 says; of two
 * with the same `kid` the first counts.
 *
 * @throws {TypeError} if `document` is no JWK Set, or holds more than 64 keys.
 */
export function readJsonWebKeys(document: unknown): ReadonlyMap<string, SigningKey> {
  const list = (document as { keys?: unknown } | null | undefined)?.keys
  if (!Array.isArray(list)) throw new TypeError('not a JWK Set: it has no list of keys')
  if (list.length > MAX_KEYS) throw new TypeError(`a JWK Set of more than ${MAX_KEYS} keys`)
  const keys = new Map<string, SigningKey>()
  for (const jwk of list as (JsonWebKey & { kid?: unknown; use?: unknown; alg?: unknown })[]) {
    const key = readKey(jwk)
    if (key && typeof jwk.kid === 'string' && !keys.has(jwk.kid)) keys.set(jwk.kid, key)
  }
  return keys
}

function readKey(jwk: JsonWebKey & { use?: unknown; alg?: unknown }): SigningKey | undefined {
  if (typeof jwk !== 'object' || jwk === null) return undefined
  const algorithm = jwk.kty === 'RSA' ? 'RS256' : jwk.kty === 'EC' ? EC_ALGORITHMS[String(jwk.crv)] : undefined
  if (!algorithm || (jwk.use !== undefined && jwk.use !== 'sig')) return undefined
  if (jwk.alg !== undefined && jwk.alg !== algorithm) return undefined
  let key: KeyObject
  try {
    // Only the public members are handed on, so that a private key that somebody published by mistake is not kept.
    const { kty, n, e, crv, x, y } = jwk
    key = createPublicKey({ key: { kty, n, e, crv, x, y } as JsonWebKey, format: 'jwk' })
  } catch {
    return undefined
  }
  const bits = key.asymmetricKeyDetails?.modulusLength
  return bits !== undefined && bits < MIN_RSA_BITS ? undefined : { algorithm, key }
}
