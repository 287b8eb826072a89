import { Buffer } from 'node:buffer'
import { bundleToDer, type X509Bundle } from '../../core/spiffe/bundle.ts'
import { Encoded } from '../../proto/grpc-method.ts'
import { X509BundlesResponseSchema, X509SVIDResponseSchema } from '../../proto/gen/third_party/spiffe/workload_pb.ts'
import type { Bundles, Delivered } from '../workloads/workload.ts'

/**
 * The messages of the Workload API, each encoded once however many streams carry it, and forgotten with what it was made
 * of.
 */
export class Responses {
  readonly #svids = new WeakMap<Delivered, Encoded<typeof X509SVIDResponseSchema>>()
  readonly #bundles = new WeakMap<Bundles, Encoded<typeof X509BundlesResponseSchema>>()

  svid(delivered: Delivered): Encoded<typeof X509SVIDResponseSchema> {
    return remember(this.#svids, delivered, encodeSvid)
  }

  bundles(bundles: Bundles): Encoded<typeof X509BundlesResponseSchema> {
    return remember(this.#bundles, bundles, encodeBundles)
  }
}

function remember<K extends object, V>(map: WeakMap<K, V>, key: K, make: (key: K) => V): V {
  const known = map.get(key)
  if (known !== undefined) return known
  const made = make(key)
  map.set(key, made)
  return made
}

/** Workload API §5.2.1: the complete state. DER, concatenated, never PEM; the key is PKCS#8. */
function encodeSvid({ svid, bundles: { own, federated } }: Delivered): Encoded<typeof X509SVIDResponseSchema> {
  return Encoded.of(X509SVIDResponseSchema, {
    svids: [
      {
        spiffeId: svid.id.toString(),
        x509Svid: Buffer.concat(svid.chain),
        x509SvidKey: svid.privateKey,
        bundle: bundleToDer(own),
        hint: svid.hint,
      },
    ],
    // Foreign trust domains alone: some clients let a repetition of our own win.
    federatedBundles: Object.fromEntries(byTrustDomain(federated)),
  })
}

/** Workload API §5.2.2: our own trust domain's and those it federates with. */
function encodeBundles({ own, federated }: Bundles): Encoded<typeof X509BundlesResponseSchema> {
  return Encoded.of(X509BundlesResponseSchema, { bundles: Object.fromEntries(byTrustDomain([own, ...federated])) })
}

/** Keyed `spiffe://<name>`. An empty bundle is left out: it makes clients refuse the whole message, absence is distrust (§4.4). */
function byTrustDomain(bundles: readonly X509Bundle[]): [string, Buffer][] {
  return bundles
    .filter(({ authorities }) => authorities.length > 0)
    .map((bundle): [string, Buffer] => [bundle.trustDomain.id, bundleToDer(bundle)])
    .sort(([a], [b]) => (a < b ? -1 : 1))
}
