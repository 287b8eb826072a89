import { parseCertificate } from '../../core/pki/certificate.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { X509Bundle } from '../../core/spiffe/bundle.ts'
import type { SpiffeId } from '../../core/spiffe/spiffe-id.ts'
import { verifyX509Svid } from '../../core/spiffe/x509-svid.ts'

/** What a connection says of who is at its other end, judged once as it was made. */
export type AdminPeer =
  | { readonly kind: 'svid'; readonly id: SpiffeId; readonly notAfter: Date }
  /** No certificate: a token must come with each call. */
  | { readonly kind: 'anonymous' }
  /** A certificate that is of no use here; the call may bring a token all the same. */
  | { readonly kind: 'refused'; readonly error: IdentityError }

/**
 * @param chain DER, leaf first; empty without a certificate.
 * @param bundle that of our own trust domain: no other may vouch for those whom our RBAC knows (invariant 5).
 */
export function judgeAdminPeer(chain: readonly Uint8Array[], bundle: X509Bundle, now: Date): AdminPeer {
  if (chain.length === 0) return { kind: 'anonymous' }
  try {
    const { id, leaf } = verifyX509Svid(chain, () => bundle, now, { purpose: 'clientAuth' })
    // Agents and the broker hold what they need; who has taken over a node learns nothing of the rest here.
    if (id.isReserved) return refused(`${id.toString()} is no workload`)
    return { kind: 'svid', id, notAfter: leaf.notAfter }
  } catch (error) {
    return refused(hasExpired(chain, now) ? 'it has expired' : 'it is no SVID of this trust domain', error)
  }
}

/** @throws `IdentityError` `admin_certificate_invalid`: a connection may live longer than its certificate. */
export function checkNotExpired({ notAfter }: { readonly notAfter: Date }, now: Date): void {
  // RFC 5280 §4.1.2.5: the last second counts to its end.
  if (now.getTime() >= notAfter.getTime() + 1000) throw refused('it has expired').error
}

function refused(why: string, cause?: unknown): Extract<AdminPeer, { kind: 'refused' }> {
  const message = `the client certificate does not say who may call: ${why}`
  return { kind: 'refused', error: new IdentityError('admin_certificate_invalid', message, { cause }) }
}

function hasExpired([leaf]: readonly Uint8Array[], now: Date): boolean {
  try {
    return leaf !== undefined && now.getTime() >= parseCertificate(leaf).notAfter.getTime() + 1000
  } catch {
    return false
  }
}
