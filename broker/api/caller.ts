import type { Certificate } from '../../core/pki/certificate.ts'
import { commonNameOf } from '../../core/pki/distinguished-name.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { X509Bundle } from '../../core/spiffe/bundle.ts'
import { readX509SvidChain, verifyX509SvidChain } from '../../core/spiffe/x509-svid.ts'

/** Who is at the other end of a connection, judged once as it was made. */
export type Caller =
  | {
      readonly kind: 'agent'
      readonly nodeName: string
      /** Of the node that was attested; a node that has taken over its name is another. */
      readonly nodeUid?: string | undefined
      readonly notBefore: Date
      readonly notAfter: Date
    }
  /** No certificate at all: may only attest. */
  | { readonly kind: 'anonymous' }
  /** A certificate that is of no use: may only attest, and learns why elsewhere. */
  | { readonly kind: 'refused'; readonly error: IdentityError }

const AGENT_PATH = /^\/countersign\/agent\/([^/]+)$/

/**
 * Judges the certificate that a peer proved in its handshake.
 *
 * @param chain DER, leaf first; empty without a certificate.
 * @param bundle that of our own trust domain: no other may vouch for an agent (invariant 5).
 */
export function judgeCaller(chain: readonly Uint8Array[], bundle: X509Bundle, now: Date): Caller {
  if (chain.length === 0) return { kind: 'anonymous' }
  let certificates: readonly Certificate[] = []
  try {
    // Read once: whoever made it may have made it dear to read.
    certificates = readX509SvidChain(chain)
    const { id, leaf } = verifyX509SvidChain(certificates, () => bundle, now, { purpose: 'clientAuth' })
    const nodeName = AGENT_PATH.exec(id.path)?.[1]
    if (nodeName === undefined) return refused(new Error(`${id.toString()} is not the ID of an agent`))
    const { notBefore, notAfter } = leaf
    return { kind: 'agent', nodeName, nodeUid: commonNameOf(leaf.subject), notBefore, notAfter }
  } catch (error) {
    return certificates[0] && isExpired(certificates[0].notAfter, now)
      ? { kind: 'refused', error: certificateExpired() }
      : refused(error)
  }
}

/** RFC 5280 §4.1.2.5: the last second counts to its end. */
export function isExpired(notAfter: Date, now: Date): boolean {
  return now.getTime() >= notAfter.getTime() + 1000
}

export function certificateExpired(): IdentityError {
  return new IdentityError('agent_certificate_expired', "the agent's SVID has expired; attest the node again")
}

/** It is told the same, whatever the reason; the audit record has that. */
export function refused(cause: unknown): Caller {
  const error = new IdentityError(
    'agent_certificate_invalid',
    "the client certificate is not an agent's SVID of this trust domain; attest the node",
    { cause },
  )
  return { kind: 'refused', error }
}
