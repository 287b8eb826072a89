import { Buffer } from 'node:buffer'
import { verify } from 'node:crypto'
import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { TokenFacts } from './attested.ts'
import type { IssuerOf } from './discovered-issuer.ts'
import type { SigningKey, TokenAlgorithm } from './json-web-keys.ts'
import { readServiceAccountToken, type ServiceAccountToken } from './service-account-token.ts'
import type { SigningKeys } from './signing-keys.ts'
import { tokenFactsOf } from './token-facts.ts'

const DIGESTS: Readonly<Record<TokenAlgorithm, string>> = {
  RS256: 'sha256',
  ES256: 'sha256',
  ES384: 'sha384',
  ES512: 'sha512',
}

/** How far the API server's clock may be ahead of ours; as much as its own leeway. A token that has ended gets none. */
const LEEWAY_MS = 60_000

/** What a token must say. */
export interface TokenRules {
  readonly issuer: string | IssuerOf
  readonly audience: string
  /** The longest life that a token may have been made for. */
  readonly maxLifetimeMs: number
}

/**
 * The local check of a ServiceAccount token against the cluster's keys, before anybody is asked (design §3): what is
 * cheap comes first and the signature last, so that a flood of bad tokens costs little and reaches nobody.
 */
export class TokenPrecheck {
  readonly #keys: SigningKeys
  readonly #clock: Clock
  readonly #rules: TokenRules

  constructor({ keys, clock }: { readonly keys: SigningKeys; readonly clock: Clock }, rules: TokenRules) {
    this.#keys = keys
    this.#clock = clock
    this.#rules = rules
  }

  /**
   * What the token says, signed by the cluster. Whether its pod still exists only the API server knows.
   *
   * @throws {@link IdentityError} one of the `token_…` codes, or `kubernetes_unavailable` without keys.
   */
  check(token: string, signal: AbortSignal): Promise<TokenFacts> {
    return this.checkAs(tokenFactsOf, token, signal)
  }

  /**
   * What `read` makes of the claims, which are signed by the cluster; it throws for those that are not enough. Called
   * before the signature is verified, since it is cheaper.
   *
   * @throws As {@link check}, and what `read` throws.
   */
  async checkAs<T>(read: (claims: ServiceAccountToken['claims']) => T, token: string, signal: AbortSignal): Promise<T> {
    const parsed = readServiceAccountToken(token)
    if (!Object.hasOwn(DIGESTS, parsed.algorithm)) {
      throw new IdentityError('token_malformed', 'not a ServiceAccount token: its algorithm is not one of the cluster')
    }
    const { issuer } = this.#rules
    checkIssuer(parsed.claims, typeof issuer === 'string' ? issuer : await issuer(signal))
    checkAudience(parsed.claims, this.#rules.audience)
    checkTimes(parsed.claims, this.#clock.now().getTime(), this.#rules.maxLifetimeMs)
    const facts = read(parsed.claims)
    const key = this.#keys.current(parsed.keyId) ?? (await this.#keys.find(parsed.keyId, signal))
    if (!key || !isSignedBy(parsed, key)) {
      throw new IdentityError('token_signature_invalid', "none of the cluster's keys verifies the token")
    }
    return facts
  }
}

function checkIssuer({ iss }: ServiceAccountToken['claims'], issuer: string): void {
  if (iss !== issuer) throw new IdentityError('token_issuer_wrong', 'the token comes from another issuer')
}

/** RFC 7519 §4.1.3: a text, or a list of them. A token that is for others besides us is in their hands as well. */
function checkAudience({ aud }: ServiceAccountToken['claims'], audience: string): void {
  if (aud === audience || (Array.isArray(aud) && aud.length === 1 && aud[0] === audience)) return
  throw new IdentityError('token_audience_wrong', `the token is not for the audience ${audience} alone`)
}

function checkTimes({ exp, nbf, iat }: ServiceAccountToken['claims'], nowMs: number, maxLifetimeMs: number): void {
  if (!isTime(exp) || !isTime(iat) || (nbf !== undefined && !isTime(nbf)) || exp <= iat) {
    throw new IdentityError('token_malformed', 'the token has no valid exp, iat and nbf')
  }
  if (exp * 1000 <= nowMs) throw new IdentityError('token_expired', 'the token has expired')
  if (Math.max(nbf ?? 0, iat) * 1000 > nowMs + LEEWAY_MS) {
    throw new IdentityError('token_not_yet_valid', 'the token is not valid yet')
  }
  if ((exp - iat) * 1000 > maxLifetimeMs) {
    throw new IdentityError('token_too_long_lived', `the token lives longer than ${maxLifetimeMs / 1000}s`)
  }
}

/** NumericDate (RFC 7519 §2). */
function isTime(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0
}

/** The key says how; a token that claims anything else is not signed by it. */
function isSignedBy({ algorithm, signed, signature }: ServiceAccountToken, key: SigningKey): boolean {
  if (algorithm !== key.algorithm) return false
  const data = Buffer.from(signed, 'latin1')
  // RFC 7518 §3.4: an ECDSA signature is the two numbers, not DER.
  return verify(DIGESTS[key.algorithm], data, { key: key.key, dsaEncoding: 'ieee-p1363' }, signature)
}
