import type { Log } from '../core/runtime/log.ts'
import type { Metrics } from '../core/runtime/metrics.ts'
import type { EndedCall } from '../proto/grpc-server.ts'
import type { BROKER_METRICS } from './metrics.ts'
import type { RefusalLog } from './refusal-log.ts'

interface Dependencies {
  readonly log: Log
  readonly metrics: Pick<Metrics<typeof BROKER_METRICS>, 'countersign_broker_calls_total'>
  readonly refusals: RefusalLog
}

/** One count and at most one line for each call that has ended. */
export function callLog({ log, metrics, refusals }: Dependencies): (call: EndedCall) => void {
  return ({ path, peer, code, error }) => {
    const method = path.slice(path.lastIndexOf('/') + 1)
    metrics.countersign_broker_calls_total.inc({ method, code })
    if (code === 'internal') log.error({ err: error, method, peer }, 'a call failed')
    else if (code !== 'ok' && code !== 'cancelled') refusals.info({ method, peer, code }, 'a call was refused')
    else if (log.isLevelEnabled('debug')) log.debug({ method, peer, code }, 'a call has ended')
  }
}
