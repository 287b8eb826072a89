/** The public members of a JWK (RFC 7518 §6.2, §6.3) of the kinds that verify JWT-SVIDs, and nothing else. */
export type PublicJwk =
  | { readonly kty: 'EC'; readonly crv: string; readonly x: string; readonly y: string }
  | { readonly kty: 'RSA'; readonly n: string; readonly e: string }

/** Takes from `jwk` what is public. `undefined` for another kind of key, or if a member is missing or no text. */
export function pickPublicJwk(jwk: Readonly<Record<string, unknown>>): PublicJwk | undefined {
  const { kty, crv, x, y, n, e } = jwk
  if (kty === 'EC' && isText(crv) && isText(x) && isText(y)) return { kty, crv, x, y }
  if (kty === 'RSA' && isText(n) && isText(e)) return { kty, n, e }
  return undefined
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}
