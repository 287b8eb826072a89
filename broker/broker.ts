import { hostname } from 'node:os'
import { Lifecycle } from '../core/runtime/lifecycle.ts'
import { createMetrics } from '../core/runtime/metrics.ts'
import { startOperationsServer } from '../core/runtime/operations-server.ts'
import { startAdminApi } from './admin-api.ts'
import { startAttestation } from './attestation-parts.ts'
import { startAuthorities } from './authority-service.ts'
import { startBundlePublishing } from './bundle-publishing.ts'
import type { BrokerConfig } from './config.ts'
import type { BrokerEnvironment } from './environment.ts'
import { RefusalAudit } from './issuance/refusal-audit.ts'
import { X509SvidSigner } from './issuance/x509-svid-signer.ts'
import { startKeyWrap } from './key-wrap-start.ts'
import { openLedger } from './ledger-start.ts'
import { BROKER_METRICS } from './metrics.ts'
import { startNodeApi } from './node-api.ts'
import { startOwnIdentity } from './own-identity-start.ts'
import { Problems } from './problems.ts'
import { Readiness } from './readiness.ts'
import { startRegistrations } from './registration-parts.ts'
import { SyncHub } from './sync/sync-hub.ts'

/** A broker that serves. */
export interface Broker {
  /** `host:port` where agents connect. */
  readonly address: string
  readonly port: number
  /** Where operators connect; `undefined` where nothing is configured. */
  readonly adminPort: number | undefined
  readonly operationsPort: number
  /** Ends streams with Unavailable, lets calls finish, closes the ledger. @returns the parts that did not stop in time. */
  stop(): Promise<readonly string[]>
}

/** How long stopping may take; below the 30 s that Kubernetes gives. */
const STOP_MS = 15_000

/**
 * Starts a broker, and resolves once it serves. What may pass (a locked ledger, an upstream that is away) is waited for:
 * `/readyz` says what; `signal` ends the waiting.
 *
 * @throws `IdentityError` for what does not pass: `config_invalid`, `object_invalid`, `store_corrupt`, `store_too_new`,
 *   `key_store_locked`.
 */
export async function startBroker(
  config: BrokerConfig,
  environment: BrokerEnvironment,
  signal?: AbortSignal,
): Promise<Broker> {
  const lifecycle = new Lifecycle(environment.clock)
  const stop = () => lifecycle.stop(STOP_MS)
  signal?.addEventListener('abort', () => void stop(), { once: true })
  try {
    return await start(config, environment, lifecycle)
  } catch (error) {
    await stop()
    throw error
  }
}

async function start(config: BrokerConfig, environment: BrokerEnvironment, lifecycle: Lifecycle): Promise<Broker> {
  const { clock, random, log, failPoint } = environment
  const { metrics, registry } = createMetrics(BROKER_METRICS)
  const readiness = new Readiness('the broker is starting')
  const operations = await startOperationsServer(config.operations.listen, {
    registry,
    notReady: () => readiness.reasons(),
  })
  lifecycle.add('operations', () => operations.close())
  environment.onOperations?.(operations.port)

  const problems = new Problems(clock)
  const attestation = await startAttestation(config, { clock, log, lifecycle, readiness, problems })
  const registrations = await startRegistrations(config, attestation, {
    environment,
    lifecycle,
    metrics,
    readiness,
    problems,
  })
  const patience = { clock, random, log, readiness, signal: lifecycle.signal }
  const keyWrap = await startKeyWrap(config, attestation.kubernetes, patience)
  const ledger = await openLedger(
    config,
    { clock, random, log, readiness, lifecycle, auditKey: keyWrap.auditKey },
    {
      onLost: (count) => metrics.countersign_broker_ledger_lost_total.inc(count),
      onStopped: environment.onFatal ?? (() => {}),
    },
  )
  ledger.record({ event: 'broker_started', host: hostname() })

  const hub = new SyncHub(clock)
  const publishBundle = startBundlePublishing(config, attestation.kubernetes, {
    environment,
    lifecycle,
    metrics,
    problems,
  })
  const authorities = await startAuthorities(config, {
    environment,
    readiness,
    lifecycle,
    metrics,
    keeping: { ledger, keyWrap },
    hub,
    publishBundle,
  })
  const signer = new X509SvidSigner({ authorities: authorities.authorities, ledger, clock, random, failPoint })
  const audit = new RefusalAudit(ledger, clock)
  const identity = await startOwnIdentity(config, { environment, lifecycle, metrics, signer, authorities })
  const api = await startNodeApi(config, {
    environment,
    lifecycle,
    metrics,
    issuing: { attestation, registrations, signer, audit, ledger },
    serving: { hub, authorities, identity },
  })
  const adminPort = await startAdminApi(config, {
    environment,
    lifecycle,
    metrics,
    deciding: { attestation, registrations, problems, readiness },
    serving: { hub, authorities, identity, ledger, auditKey: keyWrap.auditKey },
  })
  readiness.check(() => ledger.problem())
  readiness.check(() => authorities.problem(clock.now()))
  readiness.started()
  lifecycle.signal.addEventListener('abort', () => readiness.stopping(), { once: true })
  log.info(
    { address: api.address, adminPort, operationsPort: operations.port, trustDomain: config.trustDomain.toString() },
    'started',
  )
  const reasons = readiness.reasons()
  if (reasons.length > 0) log.warn({ reasons }, 'not ready yet')
  return {
    address: api.address,
    port: api.port,
    adminPort,
    operationsPort: operations.port,
    stop: () => {
      log.info({}, 'stopping')
      return lifecycle.stop(STOP_MS)
    },
  }
}
