import type { Lifecycle } from '../core/runtime/lifecycle.ts'
import type { Metrics } from '../core/runtime/metrics.ts'
import { AdminService } from '../proto/gen/countersign/admin/v1/admin_pb.ts'
import { AdminAudit } from './admin/admin-audit.ts'
import { AdminAuthorization } from './admin/admin-authorization.ts'
import { AdminConnections } from './admin/admin-connections.ts'
import { AdminGuard } from './admin/admin-guard.ts'
import { adminService } from './admin/admin-service.ts'
import { ADMIN_REVIEW_LIMITS, userOfToken } from './admin/admin-tokens.ts'
import { adminAnswers } from './admin-parts.ts'
import { FOR_OPERATORS, GrpcEndpoint } from './api/grpc-endpoint.ts'
import { TlsListener } from './api/tls-listener.ts'
import type { AttestationParts } from './attestation-parts.ts'
import { TokenReviewer } from './attestation/token-reviewer.ts'
import type { AuthorityService } from './authority-service.ts'
import { callLog } from './call-log.ts'
import { adminAudienceOf, type BrokerConfig } from './config.ts'
import type { BrokerEnvironment } from './environment.ts'
import { adminTokenReview } from './kubernetes/admin-token-review.ts'
import type { ApiConnection } from './kubernetes/api-connection.ts'
import { podLookup } from './kubernetes/pod-lookup.ts'
import { subjectAccessReview } from './kubernetes/subject-access-review.ts'
import type { Ledger } from './ledger/ledger.ts'
import type { AuditKey } from './ledger/audit-chain.ts'
import { SqliteQueries } from './ledger/sqlite-queries.ts'
import type { BROKER_METRICS } from './metrics.ts'
import type { OwnIdentity } from './own-identity.ts'
import type { Problems } from './problems.ts'
import type { Readiness } from './readiness.ts'
import { RefusalLog } from './refusal-log.ts'
import type { Registrations } from './registration/registrations.ts'
import { gauge } from './scraped-gauge.ts'
import type { SyncHub } from './sync/sync-hub.ts'

interface Parts {
  readonly environment: BrokerEnvironment
  readonly lifecycle: Lifecycle
  readonly metrics: Metrics<typeof BROKER_METRICS>
  readonly deciding: {
    readonly attestation: AttestationParts
    readonly registrations: Registrations
    readonly problems: Problems
    readonly readiness: Readiness
  }
  readonly serving: {
    readonly hub: SyncHub
    readonly authorities: AuthorityService
    readonly identity: OwnIdentity
    readonly ledger: Ledger
    readonly auditKey: AuditKey
  }
}

const DRAIN_MS = 5_000
const HANDSHAKES = { maxHandshakes: 64, maxHandshakesPerAddress: 32, handshakeTimeoutMs: 10_000 }

/**
 * Opens the port for operators, where one is configured: a listener, limits and a server of their own, so that nothing
 * that happens there keeps an agent out.
 *
 * @returns the port.
 */
export async function startAdminApi(config: BrokerConfig, parts: Parts): Promise<number | undefined> {
  const { admin, ledger } = config
  const { attestation, registrations } = parts.deciding
  if (!admin || !attestation.kubernetes) return undefined
  const { environment, lifecycle, metrics, serving } = parts
  const { clock, log } = environment
  const { api } = attestation.kubernetes

  const queries = new SqliteQueries(ledger.file, clock, serving.auditKey)
  const guard = guardOf(config, parts, api, (peer) => connections.peerOf(peer))
  const answers = adminAnswers(config, {
    environment,
    state: { ...parts.deciding, identity: serving.identity },
    trust: serving,
    queries,
    cluster: {
      lookup: podLookup(api),
      registrationOf: (pod, signal) => registrations.explain(pod, signal),
      templates: registrations.templates,
    },
  })
  const ended = callLog({ log, metrics, refusals: new RefusalLog(log, clock) })
  const handlers = adminService(guard, answers)
  const endpoint = new GrpcEndpoint({ service: AdminService, handlers, ended, clock }, FOR_OPERATORS)
  const connections: AdminConnections = new AdminConnections({
    clock,
    bundle: () => serving.authorities.authorities.bundle,
    inject: (socket, wire) => endpoint.inject(socket, wire),
    maxConnections: admin.maxConnections,
  })
  const listener = await TlsListener.listen(serving.identity.current, {
    ...admin.listen,
    limits: { maxConnections: 4 * admin.maxConnections, ...HANDSHAKES },
    accept: (...accepted) => connections.accept(...accepted),
    onRefused: (reason) => metrics.countersign_broker_connections_refused_total.inc({ reason }),
    onError: (error) => log.error({ err: error }, 'a connection of an operator could not be accepted'),
    clock,
  })
  gauge(metrics.countersign_broker_admin_connections, () => connections.size)
  serving.identity.onRenewed((renewed) => listener.renew(renewed))
  lifecycle.add('admin API', async () => {
    listener.stopAccepting()
    await endpoint.shutdown(DRAIN_MS, clock)
    listener.destroy()
    await queries.close()
  })
  return listener.port
}

function guardOf(
  config: BrokerConfig,
  { environment: { clock }, deciding, serving }: Parts,
  api: ApiConnection,
  peerOf: AdminConnections['peerOf'],
): AdminGuard {
  const audience = adminAudienceOf(config)
  const reviewer = new TokenReviewer({ review: adminTokenReview(api, audience), clock }, ADMIN_REVIEW_LIMITS)
  return new AdminGuard({
    clock,
    peerOf,
    userOfToken: userOfToken({ clock, precheck: deciding.attestation.precheckFor(audience), reviewer }),
    authorization: new AdminAuthorization({ review: subjectAccessReview(api), clock }),
    audit: new AdminAudit(serving.ledger, clock),
  })
}
