import { codeOf } from '../core/runtime/errors.ts'
import type { Lifecycle } from '../core/runtime/lifecycle.ts'
import type { Metrics } from '../core/runtime/metrics.ts'
import type { AuthorityService } from './authority-service.ts'
import type { BrokerConfig } from './config.ts'
import type { BrokerEnvironment } from './environment.ts'
import { issueBrokerIdentity } from './issuance/broker-identity.ts'
import type { X509SvidSigner } from './issuance/x509-svid-signer.ts'
import type { BROKER_METRICS } from './metrics.ts'
import { OwnIdentity } from './own-identity.ts'

interface Parts {
  readonly environment: BrokerEnvironment
  readonly lifecycle: Lifecycle
  readonly metrics: Metrics<typeof BROKER_METRICS>
  readonly signer: X509SvidSigner
  readonly authorities: AuthorityService
}

/** The broker's own SVID, which it shows to agents and operators, kept fresh. */
export async function startOwnIdentity(config: BrokerConfig, parts: Parts): Promise<OwnIdentity> {
  const { environment, lifecycle, metrics, signer, authorities } = parts
  const { clock, random, log } = environment
  const issue = async () => {
    const identity = await issueBrokerIdentity(signer, config.trustDomain)
    metrics.countersign_broker_svids_issued_total.inc({ kind: 'broker' })
    metrics.countersign_broker_own_svid_not_after_seconds.set(identity.notAfter.getTime() / 1000)
    return identity
  }
  const own = new OwnIdentity(await issue(), {
    clock,
    random,
    issue,
    onFailed: (error) => log.error({ err: error, code: codeOf(error) }, "the broker's own SVID could not be renewed"),
  })
  authorities.onActivated = () => own.renewSoon()
  const renewing = own.keepFresh(lifecycle.signal)
  lifecycle.add('own identity', () => renewing)
  return own
}
