import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { type RateLimits, TokenBuckets } from '../../core/runtime/token-bucket.ts'

/**
 * How many SVIDs a node and a pod may ask for: more than any needs, and less than it takes to fill the ledger in hours or
 * to keep the others waiting.
 */
export class IssuanceRates {
  readonly #nodes: TokenBuckets
  readonly #pods: TokenBuckets

  constructor(clock: Clock, limits: { readonly perNode: RateLimits; readonly perPod: RateLimits }) {
    this.#nodes = new TokenBuckets(clock, limits.perNode)
    this.#pods = new TokenBuckets(clock, limits.perPod)
  }

  /** @throws `IdentityError` `overloaded` with a retry time. */
  checkNode(nodeName: string): void {
    check('node', this.#nodes.take(nodeName))
  }

  /**
   * @param podUid as it was attested: what a caller merely says of a pod must not be held against it.
   * @throws `IdentityError` `overloaded` with a retry time.
   */
  checkPod(podUid: string): void {
    check('pod', this.#pods.take(podUid))
  }
}

/** An agent asks twice an hour, and once whenever it is started. */
const ATTESTATIONS: RateLimits = { burst: 50, perSecond: 0.1 }

/** How often a node may be attested: who has taken one over cannot fill the ledger with that either. */
export class NodeAttestationRates {
  readonly #nodes: TokenBuckets

  constructor(clock: Clock, limits: RateLimits = ATTESTATIONS) {
    this.#nodes = new TokenBuckets(clock, limits)
  }

  /**
   * @param nodeName as it was attested.
   * @throws `IdentityError` `overloaded` with a retry time.
   */
  checkNode(nodeName: string): void {
    check('node', this.#nodes.take(nodeName))
  }
}

function check(whose: 'node' | 'pod', waitMs: number): void {
  if (waitMs === 0) return
  throw new IdentityError('overloaded', `this ${whose} asks for more SVIDs than it may; come back later`, {
    retryAfterMs: Math.max(500, waitMs),
  })
}
