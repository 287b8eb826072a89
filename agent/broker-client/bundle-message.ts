import { durationMs } from '@bufbuild/protobuf/wkt'
import { parseCertificate } from '../../core/pki/certificate.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { x509Bundle, type X509Bundle } from '../../core/spiffe/bundle.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import type { Bundle, Bundles as BundlesMessage } from '../../proto/gen/countersign/node/v1/node_pb.ts'
import type { Bundles } from '../workloads/workload.ts'

/** A bundle as the broker sent it. */
export function bundleOf({ trustDomain, x509Authorities, sequence, refreshHint }: Bundle): X509Bundle {
  return x509Bundle(TrustDomain.parse(trustDomain), x509Authorities.map(parseCertificate), {
    sequence,
    refreshHintSeconds: refreshHint && Math.round(durationMs(refreshHint) / 1000),
  })
}

/**
 * The bundles of a node as the broker sent them.
 *
 * @throws {@link IdentityError} `bundle_invalid`: our own is missing, empty or another domain's. An empty one would cut us
 *   off from the broker, and from its correction with it.
 */
export function bundlesOf({ own, federated }: BundlesMessage, trustDomain: TrustDomain): Bundles {
  const ours = own && bundleOf(own)
  if (!ours?.trustDomain.equals(trustDomain))
    throw new IdentityError('bundle_invalid', `the broker sent no bundle for ${trustDomain}`)
  if (ours.authorities.length === 0)
    throw new IdentityError('bundle_invalid', `the broker sent an empty bundle for ${trustDomain}`)
  // Absence means untrusted (Workload API §4.4); AW-11: an empty one among the federated breaks clients.
  const others = federated
    .map(bundleOf)
    .filter((bundle) => !bundle.trustDomain.equals(trustDomain) && bundle.authorities.length > 0)
  return { own: ours, federated: merged(others) }
}

/** One bundle for each trust domain: two of one would take the same file, and no volume could be written any more. */
function merged(bundles: readonly X509Bundle[]): X509Bundle[] {
  const byDomain = Map.groupBy(bundles, ({ trustDomain }) => trustDomain.toString())
  return Array.from(byDomain.values(), (same) => same.reduce(union))
}

function union(one: X509Bundle, other: X509Bundle): X509Bundle {
  const { trustDomain, refreshHintSeconds } = one
  const sequence = one.sequence > other.sequence ? one.sequence : other.sequence
  return x509Bundle(trustDomain, [...one.authorities, ...other.authorities], { sequence, refreshHintSeconds })
}
