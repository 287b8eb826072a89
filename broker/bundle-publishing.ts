import type { Lifecycle } from '../core/runtime/lifecycle.ts'
import type { Metrics } from '../core/runtime/metrics.ts'
import type { X509Bundle } from '../core/spiffe/bundle.ts'
import { BundlePublisher } from './bundle-publisher.ts'
import type { BrokerConfig } from './config.ts'
import type { BrokerEnvironment } from './environment.ts'
import type { Kubernetes } from './kubernetes/connect.ts'
import { publishBundle } from './kubernetes/publish-bundle.ts'
import { clusterTrustBundlePlace, configMapPlace } from './kubernetes/trust-bundle-objects.ts'
import type { BROKER_METRICS } from './metrics.ts'
import type { Problems } from './problems.ts'

interface Parts {
  readonly environment: BrokerEnvironment
  readonly lifecycle: Lifecycle
  readonly metrics: Metrics<typeof BROKER_METRICS>
  readonly problems: Problems
}

/** Keeps the bundle where the configuration wants it in the cluster; each place by itself, whatever becomes of the others. */
export function startBundlePublishing(
  { bundle: { configMaps, clusterTrustBundle }, trustDomain }: BrokerConfig,
  kubernetes: Kubernetes | undefined,
  { environment, lifecycle, metrics, problems }: Parts,
): (bundle: X509Bundle) => void {
  if (!kubernetes) return () => {}
  const places = [
    ...configMaps.map(configMapPlace),
    ...(clusterTrustBundle ? [clusterTrustBundlePlace(trustDomain.toString())] : []),
  ]
  const { clock, random, log } = environment
  const onPublished = (place: string, { sequence }: X509Bundle) =>
    metrics.countersign_broker_bundle_published_sequence.set({ place }, Number(sequence))
  const publishers = places.map(
    (place) =>
      new BundlePublisher(
        {
          title: place.title,
          publish: (bundle, signal) => publishBundle(kubernetes.api, place, bundle, signal),
        },
        { clock, random, log, problems, onPublished },
      ),
  )
  const running = publishers.map((publisher) => publisher.run(lifecycle.signal))
  lifecycle.add('bundle publishing', async () => void (await Promise.all(running)))
  return (bundle) => {
    for (const publisher of publishers) publisher.publish(bundle)
  }
}
