import type { MetricTable } from '../core/runtime/metrics.ts'

/** Every metric of the agent. */
export const AGENT_METRICS = {
  countersign_agent_broker_connected: {
    kind: 'gauge',
    help: 'Whether the Sync stream to the broker stands (1) or not (0).',
  },
  countersign_agent_broker_failures_total: {
    kind: 'counter',
    help: 'Attempts to attest, connect or follow the broker that failed, by code.',
    labels: ['code'],
  },
  countersign_agent_attestations_total: {
    kind: 'counter',
    help: 'SVIDs that the agent got for itself by attesting its node.',
  },
  countersign_agent_own_svid_expiry_seconds: {
    kind: 'gauge',
    help: "Time until the agent's own SVID ends; negative once it has.",
  },
  countersign_agent_clock_skew_seconds: {
    kind: 'gauge',
    help: "By how much the broker's clock is ahead of the node's.",
  },
  countersign_agent_bundle_sequence: {
    kind: 'gauge',
    help: 'Sequence of the bundle that every file and stream of the node carries.',
  },
  countersign_agent_workloads: {
    kind: 'gauge',
    help: 'Workloads that are served or about to be.',
  },
  countersign_agent_workloads_expired: {
    kind: 'gauge',
    help: 'Workloads whose SVID has expired because it could not be renewed.',
  },
  countersign_agent_workloads_unwritable: {
    kind: 'gauge',
    help: 'Workloads to whose volume newer bundles could not be written for a minute or longer, so that the node does not acknowledge them. The log names each.',
  },
  countersign_agent_declarations_unserved: {
    kind: 'gauge',
    help: 'Without Kubernetes: declarations that cannot be read, whose token cannot, or whose workload is refused an identity. The log names each.',
  },
  countersign_agent_next_expiry_seconds: {
    kind: 'gauge',
    help: 'Time until the SVID that ends first ends, of all workloads; negative once it has. Absent (NaN) without workloads.',
  },
  countersign_agent_renewals_total: {
    kind: 'counter',
    help: 'Renewals of SVIDs of workloads, by outcome: ok or the code of the refusal.',
    labels: ['code'],
  },
  countersign_agent_renewal_time_left_seconds: {
    kind: 'histogram',
    help: 'How long the SVID that was replaced would have lived on.',
    buckets: [0, 1, 10, 60, 300, 900, 3600, 14400, 43200],
  },
  countersign_agent_first_publish_seconds: {
    kind: 'histogram',
    help: "Time from a workload's first request until its files and socket were there.",
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30, 100],
  },
  countersign_agent_workload_api_calls_total: {
    kind: 'counter',
    help: 'Calls of the Workload API that have ended, by method and code (ok, cancelled or a refusal).',
    labels: ['method', 'code'],
  },
  countersign_agent_workload_api_connections: {
    kind: 'gauge',
    help: "Connections on the pods' sockets.",
  },
  countersign_agent_workload_api_connections_refused_total: {
    kind: 'counter',
    help: "Connections on the pods' sockets that were refused or cut at a limit: of what their pod sends (bytes), the streams it opens a second (streams), how often it connects (rate), how many connections it has (connections), or how many all pods of the node have (node). The log names the pod, but for the last.",
    labels: ['limit'],
  },
  countersign_agent_csi_calls_total: {
    kind: 'counter',
    help: 'Calls of kubelet that have ended, by method and code.',
    labels: ['method', 'code'],
  },
} as const satisfies MetricTable
