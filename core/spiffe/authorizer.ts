import type { SpiffeId } from './spiffe-id.ts'
import type { TrustDomain } from './trust-domain.ts'

/**
 * Whether a peer whose SVID is already verified may be spoken to. Authorizers take parsed IDs, and compare them whole:
 * a text that merely begins alike (`spiffe://prod.example.evil/…`) is another identity.
 */
export type Authorizer = (peer: SpiffeId) => boolean

/** Everyone with a valid SVID, of any trust domain whose bundle is held. */
export function authorizeAny(): Authorizer {
  return () => true
}

export function authorizeId(id: SpiffeId): Authorizer {
  return (peer) => peer.equals(id)
}

export function authorizeOneOf(...ids: readonly SpiffeId[]): Authorizer {
  const allowed = new Set(ids.map(String))
  return (peer) => allowed.has(peer.toString())
}

export function authorizeMemberOf(trustDomain: TrustDomain): Authorizer {
  return (peer) => peer.isMemberOf(trustDomain)
}
