import type { Lifecycle } from '../core/runtime/lifecycle.ts'
import { codeOf } from '../core/runtime/errors.ts'
import type { Metrics } from '../core/runtime/metrics.ts'
import { NodeService } from '../proto/gen/countersign/node/v1/node_pb.ts'
import type { Caller } from './api/caller.ts'
import { Connections } from './api/connections.ts'
import { FOR_AGENTS, FOR_STRANGERS, GrpcEndpoint } from './api/grpc-endpoint.ts'
import { nodeService } from './api/node-service.ts'
import { TlsListener } from './api/tls-listener.ts'
import type { AttestationParts } from './attestation-parts.ts'
import type { AuthorityService } from './authority-service.ts'
import { callLog } from './call-log.ts'
import type { BrokerEnvironment } from './environment.ts'
import type { BrokerConfig } from './config.ts'
import { NodeAttestation } from './issuance/attest-node.ts'
import { X509SvidIssuance } from './issuance/issue-x509-svid.ts'
import { IssuanceRates, NodeAttestationRates } from './issuance/issuance-rates.ts'
import type { RefusalAudit } from './issuance/refusal-audit.ts'
import { SigningBudget } from './issuance/signing-budget.ts'
import type { X509SvidSigner } from './issuance/x509-svid-signer.ts'
import type { Ledger } from './ledger/ledger.ts'
import type { BROKER_METRICS } from './metrics.ts'
import type { OwnIdentity } from './own-identity.ts'
import { RefusalLog } from './refusal-log.ts'
import { gauge } from './scraped-gauge.ts'
import type { Registrations } from './registration/registrations.ts'
import { EndedSvids } from './sync/ended-svids.ts'
import type { SyncHub } from './sync/sync-hub.ts'

interface Parts {
  readonly environment: BrokerEnvironment
  readonly lifecycle: Lifecycle
  readonly metrics: Metrics<typeof BROKER_METRICS>
  readonly issuing: {
    readonly attestation: AttestationParts
    readonly registrations: Registrations
    readonly signer: X509SvidSigner
    readonly audit: RefusalAudit
    readonly ledger: Ledger
  }
  readonly serving: {
    readonly hub: SyncHub
    readonly authorities: AuthorityService
    /** What the listener shows. */
    readonly identity: OwnIdentity
  }
}

/** Calls that are running when the broker stops may take so long to end. */
const DRAIN_MS = 5_000
/** Agents that are attested get their SVIDs so many at a time: a cluster that starts as a whole has thousands. */
const NODE_BUDGET = { maxConcurrent: 16, maxQueued: 4096 }

/** Opens the port for agents, last of all: what it leads to is there by then. */
export async function startNodeApi(
  config: BrokerConfig,
  parts: Parts,
): Promise<{ readonly address: string; readonly port: number }> {
  const { environment, lifecycle, metrics, issuing, serving } = parts
  const { clock, log } = environment
  const { hub, authorities, identity } = serving
  const bundle = () => authorities.authorities.bundle

  const handlers = serviceOf(config, parts, (peer) => connections.callerOf(peer))
  const refusals = new RefusalLog(log, clock)
  const shared = { service: NodeService, handlers, ended: callLog({ log, metrics, refusals }), clock }
  const forAgents = new GrpcEndpoint(shared, FOR_AGENTS)
  const forStrangers = new GrpcEndpoint(shared, FOR_STRANGERS)
  const { maxConnections, maxAnonymous, maxHandshakes, maxHandshakesPerAddress, handshakeTimeout } = config.listener
  const connections: Connections = new Connections({
    clock,
    bundle,
    inject: (socket, kind, wire) => (kind === 'agent' ? forAgents : forStrangers).inject(socket, wire),
    maxAnonymous,
    onSucceeded: (nodeName) => hub.forget(nodeName),
    onJudged: (caller, peer) => judged(caller, peer, parts, refusals),
  })
  const { host, port } = config.listen
  const listener = await TlsListener.listen(identity.current, {
    host,
    port,
    limits: { maxConnections, maxHandshakes, maxHandshakesPerAddress, handshakeTimeoutMs: handshakeTimeout },
    accept: (...accepted) => connections.accept(...accepted),
    onRefused: (reason) => metrics.countersign_broker_connections_refused_total.inc({ reason }),
    onError: (error) => log.error({ err: error }, 'a connection could not be accepted'),
    clock,
  })
  gauge(metrics.countersign_broker_connections, () => connections.size)
  gauge(metrics.countersign_broker_agents_connected, () => hub.connectedNodes)

  identity.onRenewed((renewed) => listener.renew(renewed))
  lifecycle.add('node API', async () => {
    listener.stopAccepting()
    hub.stop()
    await Promise.all([forAgents, forStrangers].map((endpoint) => endpoint.shutdown(DRAIN_MS, clock)))
    listener.destroy()
    issuing.audit.flush()
  })
  return { address: `${host.includes(':') ? `[${host}]` : host}:${listener.port}`, port: listener.port }
}

function serviceOf(config: BrokerConfig, parts: Parts, callerOf: (peer: string) => Caller | undefined) {
  const { environment, metrics, issuing, serving } = parts
  const { clock, failPoint, log } = environment
  const { attestation, registrations, signer, audit, ledger } = issuing
  const { maxBatch, maxConcurrent, maxQueued, maxWait, agentTtl } = config.issuance
  const budget = new SigningBudget(clock, { maxConcurrent, maxQueued, maxWaitMs: maxWait })
  const nodeBudget = new SigningBudget(clock, { ...NODE_BUDGET, maxWaitMs: maxWait })
  gauge(metrics.countersign_broker_issuance_queued, () => budget.queued + nodeBudget.queued)

  const decisions = {
    attest: attestation.pods.attest.bind(attestation.pods),
    identityOf: registrations.identityOf.bind(registrations),
    // Nothing can be denied yet.
    checkNotDenied: () => {},
  }
  const rates = new IssuanceRates(clock, config.issuance)
  const issuance = new X509SvidIssuance({ decisions, signer, budget, rates, audit, failPoint }, { maxBatch })
  const ended = new EndedSvids(ledger, clock)
  const nodes = new NodeAttestation(
    {
      attest: attestation.nodes.attest.bind(attestation.nodes),
      signer,
      budget: nodeBudget,
      rates: new NodeAttestationRates(clock),
      audit,
      clock,
    },
    { trustDomain: config.trustDomain, ttlMs: agentTtl },
  )
  return nodeService({
    attestation: {
      issue: async (request, signal) => {
        const svid = await nodes.issue(request, signal)
        metrics.countersign_broker_svids_issued_total.inc({ kind: 'agent' })
        return svid
      },
    },
    issuance: {
      issue: async (items, caller) => {
        const begin = clock.monotonicMs()
        const outcomes = await issuance.issue(items, caller)
        metrics.countersign_broker_issue_seconds.observe((clock.monotonicMs() - begin) / 1000)
        let issued = 0
        for (const outcome of outcomes) {
          if ('svid' in outcome) issued += 1
          else {
            const code = codeOf(outcome.refusal)
            metrics.countersign_broker_svids_refused_total.inc({ kind: 'workload', code })
            if (code === 'internal') log.error({ err: outcome.refusal }, 'issuance failed')
          }
        }
        if (issued > 0) metrics.countersign_broker_svids_issued_total.inc({ kind: 'workload' }, issued)
        return outcomes
      },
    },
    hub: serving.hub,
    broker: {
      clock,
      bundle: () => serving.authorities.authorities.bundle,
      callerOf,
      onCallerRefused: (method, error, peer) => audit.refused('caller_refused', error, { method, peer }),
    },
    end: (nodeName, serialNumbers) => ended.end(nodeName, serialNumbers),
  })
}

function judged(caller: Caller, peer: string, { metrics, issuing }: Parts, refusals: RefusalLog): void {
  if (caller.kind !== 'refused') return
  metrics.countersign_broker_connections_refused_total.inc({ reason: 'certificate' })
  issuing.audit.refused('caller_refused', caller.error, { peer })
  refusals.info({ peer, code: caller.error.code, err: caller.error }, 'a client certificate was refused')
}
