import { IdentityError } from '../../core/runtime/errors.ts'
import type { FetchJwks } from '../attestation/signing-keys.ts'
import type { ApiConnection } from './api-connection.ts'
import { parseJson } from './json.ts'

/** The keys that the API server publishes for its ServiceAccount tokens. */
export function fetchJwks(api: ApiConnection): FetchJwks {
  return async (signal) => get(api, '/openid/v1/jwks', 'application/jwk-set+json', signal)
}

/** The issuer that the API server names in its tokens (OpenID Connect Discovery §3). */
export function discoverIssuer(api: ApiConnection): (signal: AbortSignal) => Promise<string> {
  return async (signal) => {
    const document = await get(api, '/.well-known/openid-configuration', 'application/json', signal)
    const issuer = (document as { issuer?: unknown } | null)?.issuer
    if (typeof issuer === 'string' && issuer !== '') return issuer
    throw new IdentityError('kubernetes_unavailable', 'the discovery document of the API server names no issuer', {
      retryAfterMs: 1000,
    })
  }
}

async function get(api: ApiConnection, path: string, accept: string, signal: AbortSignal): Promise<unknown> {
  const { status, body } = await api.send({ method: 'GET', path, accept }, signal)
  if (status === 200) return parseJson(body)
  throw new IdentityError('kubernetes_unavailable', `the API server answers ${status} to ${path}`, {
    retryAfterMs: 1000,
  })
}
