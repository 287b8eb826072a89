import { IdentityError } from '../../core/runtime/errors.ts'
import type { Call } from '../../proto/grpc-server.ts'
import { MAX_TOKEN_BYTES } from '../attestation/service-account-token.ts'
import { type AdminCaller, type AdminUser, SVID_GROUP } from './admin-user.ts'
import { type AdminPeer, checkNotExpired } from './admin-peer.ts'

interface Dependencies {
  /** Who the holder of a bearer token is; throws what is wrong with the token. */
  readonly userOfToken: (token: string, signal: AbortSignal) => Promise<AdminUser>
  readonly now: () => Date
}

/** RFC 6750 §2.1, with the one space that everybody writes. */
const BEARER = /^Bearer ([\w.~+/-]+=*)$/i

/**
 * Who calls: a token says so where there is one, for a caller means the one it sends with this very call; else the SVID
 * of the connection does.
 *
 * @throws `IdentityError` `admin_credentials_required`, `admin_certificate_invalid`, and the codes of tokens.
 */
export async function authenticate(
  metadata: Call['metadata'],
  peer: AdminPeer | undefined,
  { userOfToken, now }: Dependencies,
  signal: AbortSignal,
): Promise<AdminCaller> {
  const given = metadata.get('authorization')
  if (given.length > 0) {
    return { user: await userOfToken(bearerOf(given), signal), shownBy: 'token' }
  }
  if (peer?.kind === 'refused') throw peer.error
  if (peer?.kind !== 'svid') {
    throw new IdentityError('admin_credentials_required', 'the call needs a bearer token or the SVID of a workload')
  }
  checkNotExpired(peer, now())
  const name = peer.id.toString()
  return { user: { name, uid: undefined, groups: [SVID_GROUP], extra: {} }, shownBy: 'svid' }
}

/** Nothing of a header that is not as it should be is repeated: it may hold a secret (invariant 6). */
function bearerOf(given: readonly (string | Buffer)[]): string {
  const [header, ...others] = given
  if (others.length > 0) {
    throw new IdentityError('admin_credentials_required', 'the metadata authorization is there more than once')
  }
  if (typeof header !== 'string' || header.length > MAX_TOKEN_BYTES + 'Bearer '.length) {
    throw new IdentityError('token_too_large', `the token is larger than ${MAX_TOKEN_BYTES} bytes`)
  }
  const [, token] = BEARER.exec(header) ?? []
  if (token === undefined) {
    throw new IdentityError('admin_credentials_required', 'the metadata authorization is not: Bearer <token>')
  }
  return token
}
