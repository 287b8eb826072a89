import type { Gauge } from 'prom-client'
import type { Clock } from '../core/runtime/clock.ts'
import type { ErrorCode } from '../core/runtime/error-codes.ts'
import { codeOf } from '../core/runtime/errors.ts'
import type { Log } from '../core/runtime/log.ts'
import { createMetrics, type Metrics } from '../core/runtime/metrics.ts'
import { TokenBuckets } from '../core/runtime/token-bucket.ts'
import type { EndedCall } from '../proto/grpc-server.ts'
import type { LinkObserver } from './broker-client/broker-link.ts'
import { AGENT_METRICS } from './metrics.ts'
import { described } from './workloads/described.ts'
import type { RotationObserver } from './rotation/rotation.ts'
import type { ConnectionLimit } from './workload-api/connection-limit.ts'
import type { PodRef } from './workloads/workload.ts'

/** What is read off the parts whenever somebody asks for the metrics. */
export interface Readings {
  readonly isConnected: () => boolean
  readonly ownLeftMs: () => number | undefined
  readonly workloads: () => number
  readonly expired: () => number
  readonly unwritable: () => number
  /** Of a folder of declarations; 0 where pods are served. */
  readonly unserved: () => number
  readonly leastLeftMs: () => number
  readonly connections: () => number
}

type AgentMetrics = Metrics<typeof AGENT_METRICS>

/** Turns what the parts tell into metrics and log lines. */
export class Observation {
  readonly #log: Log
  readonly #metrics: AgentMetrics
  readonly registry
  #lastFailure: { readonly code: ErrorCode; readonly text: string } | undefined
  /** Workloads whose last renewal failed, and why. */
  readonly #failing = new Map<string, ErrorCode>()

  /** Each pod at its limits is told of once a minute. */
  readonly #greedy: TokenBuckets

  constructor(log: Log, clock: Clock) {
    this.#greedy = new TokenBuckets(clock, { burst: 1, perSecond: 1 / 60 }, 1_000)
    const { metrics, registry } = createMetrics(AGENT_METRICS)
    this.#log = log
    this.#metrics = metrics
    this.registry = registry
  }

  /** Why there is no connection: the code and what was said; undefined while there is one. */
  get lastFailure(): string | undefined {
    return this.#lastFailure?.text
  }

  read(readings: Readings): void {
    const metrics = this.#metrics
    onScrape(metrics.countersign_agent_broker_connected, () => Number(readings.isConnected()))
    onScrape(metrics.countersign_agent_own_svid_expiry_seconds, () => (readings.ownLeftMs() ?? NaN) / 1000)
    onScrape(metrics.countersign_agent_workloads, readings.workloads)
    onScrape(metrics.countersign_agent_workloads_expired, readings.expired)
    onScrape(metrics.countersign_agent_workloads_unwritable, readings.unwritable)
    onScrape(metrics.countersign_agent_declarations_unserved, readings.unserved)
    onScrape(metrics.countersign_agent_workload_api_connections, readings.connections)
    onScrape(metrics.countersign_agent_next_expiry_seconds, () => {
      const leftMs = readings.leastLeftMs()
      return Number.isFinite(leftMs) ? leftMs / 1000 : NaN
    })
  }

  readonly link: LinkObserver = {
    connected: () => {
      this.#lastFailure = undefined
      this.#log.info('connected to the broker')
    },
    failed: (error, isConnected) => {
      const code = codeOf(error)
      this.#metrics.countersign_agent_broker_failures_total.inc({ code })
      // A broker that stays away is told once, not with every attempt.
      const level = this.#lastFailure?.code === code ? 'debug' : 'warn'
      this.#log[level]({ code, err: error, isConnected }, 'the broker cannot be reached, or refuses')
      this.#lastFailure = isConnected ? undefined : { code, text: described(error) }
    },
    attested: ({ id }) => {
      this.#metrics.countersign_agent_attestations_total.inc()
      this.#log.info({ spiffeId: id.toString() }, 'the node is attested')
    },
    enforced: (sequence) => {
      this.#metrics.countersign_agent_bundle_sequence.set(Number(sequence))
      this.#log.info({ sequence: sequence.toString() }, 'every file and stream carries the bundle')
    },
    skew: (milliseconds) => this.#metrics.countersign_agent_clock_skew_seconds.set(milliseconds / 1000),
  }

  readonly rotation: RotationObserver = {
    renewed: (id, leftMs) => {
      this.#metrics.countersign_agent_renewals_total.inc({ code: 'ok' })
      this.#metrics.countersign_agent_renewal_time_left_seconds.observe(Math.max(0, leftMs) / 1000)
      this.#failing.delete(id)
      this.#log.debug({ workload: id }, 'renewed')
    },
    failed: (id, code, leftMs) => {
      this.#metrics.countersign_agent_renewals_total.inc({ code })
      // Told once for each reason; the metrics count the rest.
      const level = this.#failing.get(id) === code ? 'debug' : 'warn'
      this.#failing.set(id, code)
      this.#log[level](
        { workload: id, code, leftSeconds: Math.round(leftMs / 1000) },
        'an SVID was not renewed; again later',
      )
    },
    forgotten: (id) => void this.#failing.delete(id),
    expired: (id) => this.#log.error({ workload: id }, 'an SVID has expired and could not be renewed'),
  }

  heldUp(workload: string, pod: PodRef, error: unknown): void {
    const what = 'a volume cannot be written, so this node does not acknowledge the newest bundle'
    this.#log.error({ workload, pod, code: codeOf(error), err: error }, what)
  }

  firstPublish(milliseconds: number): void {
    this.#metrics.countersign_agent_first_publish_seconds.observe(milliseconds / 1000)
  }

  workloadApi(call: EndedCall): void {
    this.#metrics.countersign_agent_workload_api_calls_total.inc(labelsOf(call))
    this.#logBug(call)
  }

  connectionRefused(pod: PodRef | undefined, limit: ConnectionLimit): void {
    this.#metrics.countersign_agent_workload_api_connections_refused_total.inc({ limit })
    const isShared = limit === 'node'
    if (this.#greedy.take(isShared ? 'node' : `${pod?.podUid}/${pod?.podName}`) > 0) return
    if (isShared) this.#log.warn('the pods of this node have as many connections on their sockets as there may be')
    else this.#log.warn({ pod, limit }, 'a pod is at a limit of its socket: connections are refused or cut')
  }

  csi(call: EndedCall): void {
    this.#metrics.countersign_agent_csi_calls_total.inc(labelsOf(call))
    this.#logBug(call)
    if (call.code !== 'ok') this.#log.warn({ ...labelsOf(call), err: call.error }, 'a call of kubelet failed')
  }

  #logBug({ code, path, error }: EndedCall): void {
    if (code === 'internal') this.#log.error({ path, err: error }, 'a bug')
  }
}

function labelsOf({ path, code }: EndedCall) {
  return { method: path.slice(path.lastIndexOf('/') + 1), code }
}

/** prom-client asks `collect` before it reads a gauge. */
function onScrape(gauge: Gauge, read: () => number): void {
  Object.assign(gauge, { collect: () => gauge.set(read()) })
}
