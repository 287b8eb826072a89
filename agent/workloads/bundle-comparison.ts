import { parseCertificate } from '../../core/pki/certificate.ts'
import { verifyChain } from '../../core/pki/chain.ts'
import { codeOf } from '../../core/runtime/errors.ts'
import { bundlesTrustTheSame, type X509Bundle } from '../../core/spiffe/bundle.ts'
import type { Bundles, SvidMaterial } from './workload.ts'

/** Whether a workload would see any difference; sequence numbers are none. */
export function sameBundles(one: Bundles, other: Bundles): boolean {
  return (
    bundlesTrustTheSame(one.own, other.own) &&
    one.federated.length === other.federated.length &&
    one.federated.every((bundle) => other.federated.some((candidate) => bundlesTrustTheSame(bundle, candidate)))
  )
}

/**
 * Whether an SVID leads to an authority of `bundle`, whatever the time is: one that has merely expired is renewed on its
 * own schedule.
 */
export function leadsTo(svid: SvidMaterial, bundle: X509Bundle): boolean {
  if (FOUND.get(svid) === bundle) return true
  const chain = svid.chain.map(parseCertificate)
  try {
    verifyChain(chain, bundle.authorities, chain[0]?.notBefore ?? svid.notAfter)
    FOUND.set(svid, bundle)
    return true
  } catch (error) {
    if (codeOf(error) !== 'chain_untrusted') throw error
    return false
  }
}

/** Neither changes, and each SVID is looked at before it is written and after: reading certificates is most of the work. */
const FOUND = new WeakMap<SvidMaterial, X509Bundle>()
