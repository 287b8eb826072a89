import { IdentityError } from '../../core/runtime/errors.ts'
import type { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { CLI_SERVICE_ACCOUNT } from '../installation/names.ts'
import type { Cluster } from './cluster.ts'

/** The shortest life that the API server gives; nothing is done with it afterwards. */
const LIFETIME_SECONDS = 600

/**
 * A token that is good for the broker's admin API and for nothing else. What the caller proves himself to the API server
 * with is never sent to the broker.
 */
export async function mintAdminToken(cluster: Cluster, trustDomain: TrustDomain): Promise<string> {
  const { name, namespace } = CLI_SERVICE_ACCOUNT
  const response = await cluster.find(`make a token for ServiceAccount ${namespace}/${name}`, ({ core }) =>
    core.createNamespacedServiceAccountToken({
      name,
      namespace,
      body: { spec: { audiences: [`countersign.dev/${trustDomain}/admin`], expirationSeconds: LIFETIME_SECONDS } },
    }),
  )
  const token = response?.status?.token
  if (token === undefined)
    throw new IdentityError(
      'broker_unavailable',
      `there is no ServiceAccount ${namespace}/${name} to ask the broker as: install it with the chart, or give --token-file`,
    )
  return token
}
