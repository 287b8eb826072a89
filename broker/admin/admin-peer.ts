import type { Certificate } from '../../core/pki/certificate.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { X509Bundle } from '../../core/spiffe/bundle.ts'
import type { SpiffeId } from '../../core/spiffe/spiffe-id.ts'
import { readX509SvidChain, verifyX509SvidChain } from '../../core/spiffe/x509-svid.ts'

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
  let certificates: readonly Certificate[] = []
  try {
    // Read once: whoever made it may have made it dear to read.
    certificates = readX509SvidChain(chain)
    const { id, leaf } = verifyX509SvidChain(certificates, () => bundle, now, { purpose: 'clientAuth' })
    // Agents and the broker hold what they need; who has taken over a node learns nothing of the rest here.
    if (id.isReserved) return refused(`${id.toString()} is no workload`)
    return { kind: 'svid', id, notAfter: leaf.notAfter }
  } catch (error) {
    const [leaf] = certificates
    const why = leaf && hasExpired(leaf, now) ? 'it has expired' : 'it is no SVID of this trust domain'
    return refused(why, error)
  }
}

/** @throws `IdentityError` `admin_certificate_invalid`: a connection may live longer than its certificate. */
export function checkNotExpired({ notAfter }: { readonly notAfter: Date }, now: Date): void {
  if (hasExpired({ notAfter }, now)) throw refused('it has expired').error
}

function refused(why: string, cause?: unknown): Extract<AdminPeer, { kind: 'refused' }> {
  const message = `the client certificate does not say who may call: ${why}`
  return { kind: 'refused', error: new IdentityError('admin_certificate_invalid', message, { cause }) }
}

/** RFC 5280 §4.1.2.5: the last second counts to its end. */
function hasExpired({ notAfter }: { readonly notAfter: Date }, now: Date): boolean {
  return now.getTime() >= notAfter.getTime() + 1000
}
