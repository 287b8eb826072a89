import { durationMs, timestampDate, timestampMs } from '@bufbuild/protobuf/wkt'
import { type ErrorCode, isErrorCode } from '../../core/runtime/error-codes.ts'
import type { Clock } from '../../core/runtime/clock.ts'
import { codeOf, IdentityError } from '../../core/runtime/errors.ts'
import {
  Urgency as UrgencyMessage,
  type Refusal,
  type X509SvidResult,
} from '../../proto/gen/countersign/node/v1/node_pb.ts'
import type { IssuedSvid, IssueRequest, Urgency } from '../workloads/svid-issuing.ts'
import type { BrokerChannel } from './broker-channel.ts'
import { skewMs } from './skew.ts'

interface Dependencies {
  /** The connection of the moment; throws `broker_unavailable` while there is none. */
  readonly channel: () => BrokerChannel
  readonly clock: Clock
  /** The skew that a call has shown. */
  readonly measured: (skewMs: number) => void
}

interface Item {
  readonly request: IssueRequest
  readonly signal: AbortSignal
  readonly settle: { resolve(svid: IssuedSvid): void; reject(error: unknown): void }
}

/** So many in one call; the broker takes 100. */
const MAX_BATCH = 50
/** So many calls at the same time: what comes meanwhile goes together in the next. */
const MAX_CALLS = 4
/** More than any node has pods. */
const MAX_WAITING = 2_000
const TIMEOUT_MS = 20_000
/** A renewal waits so long for others to go along; a pod that starts never waits. */
const GATHER_MS = 10

/** Refusals of a whole batch for what it holds, which may be one item's doing alone. */
const OF_THE_BATCH: ReadonlySet<ErrorCode> = new Set(['request_invalid', 'batch_duplicate', 'batch_too_large'])

const RANK = { newPod: 0, nearExpiry: 1, routine: 2 } as const satisfies Record<Urgency, number>
const URGENCY = {
  newPod: UrgencyMessage.NEW_POD,
  nearExpiry: UrgencyMessage.NEAR_EXPIRY,
  routine: UrgencyMessage.ROUTINE,
} as const satisfies Record<Urgency, UrgencyMessage>

/** Asks the broker for SVIDs, as many in a call as wait for one: new pods first, then the nearest to their end. */
export class SvidIssuer {
  readonly #dependencies: Dependencies
  #waiting: Item[] = []
  /** Those of refused batches, to be asked for one by one. */
  readonly #single: Item[] = []
  #calls = 0
  #isGathering = false

  constructor(dependencies: Dependencies) {
    this.#dependencies = dependencies
  }

  /**
   * @throws {@link IdentityError} the broker's refusal; `broker_unavailable`; `overloaded` when too many wait;
   *   `token_unbound` where the pod is not known, with which the broker would refuse all that goes along.
   */
  issue(request: IssueRequest, signal: AbortSignal): Promise<IssuedSvid> {
    if (request.pod.podUid === '')
      return Promise.reject(new IdentityError('token_unbound', 'it is not known which pod the token is for'))
    if (this.#waiting.length + this.#single.length >= MAX_WAITING)
      return Promise.reject(
        new IdentityError('overloaded', 'too many SVIDs are being waited for', { retryAfterMs: 1000 }),
      )
    return new Promise((resolve, reject) => {
      this.#waiting.push({ request, signal, settle: { resolve, reject } })
      this.#gather(request.urgency)
    })
  }

  #gather(urgency: Urgency): void {
    if (urgency === 'newPod' || this.#waiting.length >= MAX_BATCH) return this.#send()
    if (this.#isGathering) return
    this.#isGathering = true
    void this.#dependencies.clock.sleep(GATHER_MS).then(() => {
      this.#isGathering = false
      this.#send()
    })
  }

  #send(): void {
    while (this.#calls < MAX_CALLS) {
      const items = this.#waiting.sort(byUrgency).splice(0, MAX_BATCH)
      if (items.length === 0) items.push(...this.#single.splice(0, 1))
      if (items.length === 0) return
      void this.#call(items)
    }
  }

  async #call(items: readonly Item[]): Promise<void> {
    const wanted = items.filter(({ signal, settle }) => {
      if (signal.aborted) settle.reject(signal.reason)
      return !signal.aborted
    })
    if (wanted.length === 0) return
    this.#calls += 1
    try {
      await this.#ask(wanted)
    } catch (error) {
      if (wanted.length > 1 && OF_THE_BATCH.has(codeOf(error))) this.#single.push(...wanted)
      else for (const { settle } of wanted) settle.reject(error)
    } finally {
      this.#calls -= 1
      this.#send()
    }
  }

  async #ask(items: readonly Item[]): Promise<void> {
    const { channel, clock, measured } = this.#dependencies
    const askedAtMs = clock.now().getTime()
    const { service } = channel()
    const { results, serverTime } = await service.issueX509Svids(
      { requests: items.map(messageOf) },
      {
        timeoutMs: TIMEOUT_MS,
        signal: allAborted(items.map(({ signal }) => signal)),
      },
    )
    if (serverTime) measured(skewMs(timestampMs(serverTime), askedAtMs, clock.now().getTime()))
    const byId = new Map(results.map((result) => [result.requestId, result]))
    for (const [index, { settle }] of items.entries()) {
      try {
        settle.resolve(svidOf(byId.get(String(index))))
      } catch (error) {
        settle.reject(error)
      }
    }
  }
}

/** Aborted once nobody waits for the batch any more. */
function allAborted(signals: readonly AbortSignal[]): AbortSignal {
  const all = new AbortController()
  let left = signals.length
  for (const signal of signals) {
    const one = () => {
      left -= 1
      if (left === 0) all.abort(signal.reason)
    }
    if (signal.aborted) one()
    else signal.addEventListener('abort', one, { once: true })
  }
  return all.signal
}

function byUrgency({ request: a }: Item, { request: b }: Item): number {
  return RANK[a.urgency] - RANK[b.urgency] || a.expiresAtMs - b.expiresAtMs
}

function messageOf({ request }: Item, index: number) {
  return {
    requestId: String(index),
    serviceAccountToken: request.token,
    csr: request.csr,
    podUid: request.pod.podUid,
    urgency: URGENCY[request.urgency],
  }
}

function svidOf(result: X509SvidResult | undefined): IssuedSvid {
  if (result?.outcome.case === 'refusal') throw refusalOf(result.outcome.value)
  if (result?.outcome.case !== 'svid') throw new IdentityError('internal', 'the broker left an item unanswered')
  const { spiffeId, certificateChain, notAfter, lifetime, hint } = result.outcome.value
  if (!notAfter) throw new IdentityError('certificate_invalid', 'the broker did not say when the SVID ends')
  return {
    spiffeId,
    chain: certificateChain,
    notAfter: timestampDate(notAfter),
    lifetimeMs: lifetime && durationMs(lifetime),
    hint,
  }
}

/** A code that a newer broker knows and we do not is a refusal all the same. */
function refusalOf({ code, message, retryAfter, facts }: Refusal): IdentityError {
  const known = isErrorCode(code) ? code : 'internal'
  return new IdentityError(known, message, { facts, ...(retryAfter && { retryAfterMs: durationMs(retryAfter) }) })
}
