import type { MetricTable } from '../core/runtime/metrics.ts'

const CALL_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** Every metric that the broker exports. */
export const BROKER_METRICS = {
  countersign_broker_calls_total: {
    kind: 'counter',
    help: 'Calls that have ended, by method and code (ok, cancelled, or one of docs/errors.md).',
    labels: ['method', 'code'],
  },
  countersign_broker_issue_seconds: {
    kind: 'histogram',
    help: 'How long IssueX509Svids took, whole batches.',
    buckets: CALL_SECONDS,
  },
  countersign_broker_svids_issued_total: {
    kind: 'counter',
    help: 'SVIDs issued, by kind (workload, agent, broker).',
    labels: ['kind'],
  },
  countersign_broker_svids_refused_total: {
    kind: 'counter',
    help: 'SVIDs refused, by kind and code.',
    labels: ['kind', 'code'],
  },
  countersign_broker_issuance_queued: { kind: 'gauge', help: 'Requests that wait for their turn to be signed.' },
  countersign_broker_connections: { kind: 'gauge', help: 'TLS connections that are open.' },
  countersign_broker_connections_refused_total: {
    kind: 'counter',
    help: 'Connections that came to nothing, by reason (handshake, timeout, protocol, limit, certificate, flood).',
    labels: ['reason'],
  },
  countersign_broker_admin_connections: { kind: 'gauge', help: 'Connections of operators that are open.' },
  countersign_broker_agents_connected: { kind: 'gauge', help: 'Nodes whose agent has a Sync stream open.' },
  countersign_broker_bundle_sequence: { kind: 'gauge', help: 'The sequence of the trust bundle.' },
  countersign_broker_bundle_published_sequence: {
    kind: 'gauge',
    help: 'The sequence of the trust bundle that stands in each place of bundle.configMaps and bundle.clusterTrustBundle.',
    labels: ['place'],
  },
  countersign_broker_authority_not_after_seconds: {
    kind: 'gauge',
    help: 'The end of the active authority, in seconds since 1970; 0 without one.',
  },
  countersign_broker_authority_waiting_nodes: {
    kind: 'gauge',
    help: 'Nodes that a prepared authority waits for before it is activated. Alarm if it stays above 0.',
  },
  countersign_broker_authority_activations_total: {
    kind: 'counter',
    help: 'Activations of authorities, by whether every node had acknowledged (gate: open, forced).',
    labels: ['gate'],
  },
  countersign_broker_authority_failures_total: {
    kind: 'counter',
    help: 'Failed steps of the rotation of authorities, by code.',
    labels: ['code'],
  },
  countersign_broker_own_svid_not_after_seconds: {
    kind: 'gauge',
    help: "The end of the broker's own SVID, in seconds since 1970.",
  },
  countersign_broker_ledger_lost_total: {
    kind: 'counter',
    help: 'Results and audit records that the ledger could not take. Alarm if it grows.',
  },
  countersign_broker_watch_behind: {
    kind: 'gauge',
    help: 'Whether a collection of the API server is not up to date (1) or is (0), by collection. Alarm if it stays 1.',
    labels: ['collection'],
  },
  countersign_broker_template_problems: {
    kind: 'gauge',
    help: 'Problems of the IdentityTemplates, conflicts included.',
  },
} as const satisfies MetricTable
