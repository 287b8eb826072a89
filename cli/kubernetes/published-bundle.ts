import { IdentityError } from '../../core/runtime/errors.ts'
import { printableLine } from '../../core/runtime/printable.ts'
import type { X509Bundle } from '../../core/spiffe/bundle.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { TRUST_BUNDLE, TRUST_DOMAIN_ANNOTATION } from '../installation/names.ts'
import { readTrustBundle } from '../trust/trust-bundle.ts'
import type { Cluster } from './cluster.ts'

/**
 * The trust bundle that the broker keeps in a ConfigMap for agents, and so for operators; `undefined` if there is none.
 *
 * @throws {@link IdentityError} `bundle_invalid`.
 */
export async function publishedBundle(
  cluster: Cluster,
  trustDomain: TrustDomain | undefined,
): Promise<X509Bundle | undefined> {
  const { namespace, name, key } = TRUST_BUNDLE
  const found = await cluster.find(`get configmaps ${name} in namespace ${namespace}`, ({ core }) =>
    core.readNamespacedConfigMap({ namespace, name }),
  )
  const text = found?.data?.[key]
  if (text === undefined || text === '') return undefined
  const annotated = found?.metadata?.annotations?.[TRUST_DOMAIN_ANNOTATION]
  try {
    return readTrustBundle(text, trustDomain ?? (annotated === undefined ? undefined : TrustDomain.parse(annotated)))
  } catch (error) {
    if (!(error instanceof IdentityError)) throw error
    throw new IdentityError('bundle_invalid', `ConfigMap ${namespace}/${name}: ${printableLine(error.message)}`, {
      cause: error,
    })
  }
}
