import type { Socket } from 'node:net'
import type { IssueSvid } from './svid-issuing.ts'

/** What workloads need of the broker. */
export interface BrokerPort {
  readonly issue: IssueSvid
  /** Resolves as soon as the broker is back after having been away, so that who waits need not wait a back-off out. */
  returned(signal: AbortSignal): Promise<void>
  /** The wall clock, put right by what the broker's clock says. */
  now(): Date
  /** SVIDs whose pods are gone; told when there is a connection. */
  ended(serialNumbers: readonly string[]): void
}

/** When an SVID came and when it ends, on the monotonic clock. */
export interface Lifetime {
  readonly receivedAtMs: number
  readonly expiresAtMs: number
}

/** Who sees to it that SVIDs are renewed in time. */
export interface RenewalPort {
  /** There is a new SVID, to be renewed in its time. */
  held(id: string, lifetime: Lifetime): void
  /** A fresh token came: what waits for one, or is in a back-off, is tried at once if it is due. */
  tokenCame(id: string): void
  /** Renew these now, whatever their schedule says. */
  hasten(ids: Iterable<string>): void
  forget(id: string): void
}

/** Where the connections to the pods' own sockets are served. */
export interface EndpointPort {
  accept(id: string, connection: Socket): void
  /** The workload is gone and its streams have their last words: resolves when those have left, or after a moment. */
  release(id: string): Promise<void>
  /** As {@link EndpointPort.release}, for everyone: the agent stops. */
  stop(): Promise<void>
}
