import type { Clock } from '../core/runtime/clock.ts'
import type { Log } from '../core/runtime/log.ts'
import type { Random } from '../core/runtime/random.ts'
import type { FailPoint } from './issuance/fail-point.ts'

/** What the broker takes from the world. */
export interface BrokerEnvironment {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** For tests alone. */
  readonly failPoint?: FailPoint | undefined
  /** Told once probes are answered, which is long before the broker is ready if its ledger is not to be had. */
  readonly onOperations?: (port: number) => void
  /** Told of what cannot be mended from within: the process should end, and be started again. */
  readonly onFatal?: (error: unknown) => void
}
