import { backoffMs } from '../../core/runtime/backoff.ts'
import type { Clock } from '../../core/runtime/clock.ts'
import { codeOf, IdentityError } from '../../core/runtime/errors.ts'
import { ERROR_CODES, type ErrorCode } from '../../core/runtime/error-codes.ts'
import type { Random } from '../../core/runtime/random.ts'
import type { Lifetime, RenewalPort } from '../workloads/ports.ts'
import type { Urgency } from '../workloads/svid-issuing.ts'
import type { Renewal } from '../workloads/workloads.ts'
import { type Entry, RenewalQueue } from './renewal-queue.ts'
import { renewalTimeMs, urgencyAt } from './renewal-time.ts'

/** What rotation sets in motion. */
export interface RotationTarget {
  renew(id: string, urgency: Urgency, signal: AbortSignal): Promise<Renewal>
  /** An SVID has ended without having been renewed. */
  expired(id: string): void
}

/** What is told for metrics and the log. */
export interface RotationObserver {
  renewed(id: string, leftMs: number): void
  failed(id: string, code: ErrorCode, leftMs: number): void
  expired(id: string): void
  /** The workload is gone. */
  forgotten(id: string): void
}

interface Dependencies {
  readonly target: () => RotationTarget
  readonly observer: RotationObserver
  readonly clock: Clock
  readonly random: Random
}

/** So many renewals are under way at most: what the broker is asked for in one batch. */
const MAX_BATCH = 50
const RETRY = { firstMs: 500, maxMs: 60_000 }
/**
 * From one renewal that succeeded to the next: a broker that goes on signing what is to be replaced at once would
 * be asked without end. A quarter of the life, where that is less.
 */
const LEAST_INTERVAL = { minMs: 250, maxMs: 10_000 }
/** Once an SVID has ended there is nothing left to lose by haste, but a pod that waits. */
const ENDED_RETRY_MS = 10_000
/** When the broker is back, those that it kept waiting come within this time, so that a fleet does not come at once. */
const RETURN_SPREAD_MS = 1_000
/** The loop looks at its queue at least so often: soon after a machine that was suspended is awake again. */
const LONGEST_SLEEP_MS = 30_000

/** Renews SVIDs in their time: those that end first before the others, a batch at a time, again and again until it works. */
export class Rotation implements RenewalPort {
  readonly #dependencies: Dependencies
  readonly #queue = new RenewalQueue()
  readonly #stopping = new AbortController()
  #wake = new AbortController()
  #underWay = 0
  #loop: Promise<void> | undefined

  constructor(dependencies: Dependencies) {
    this.#dependencies = dependencies
  }

  start(): void {
    this.#loop ??= this.#run()
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new IdentityError('shutting_down', 'the agent is stopping'))
    this.#wake.abort()
    await this.#loop
  }

  /** How long the SVID that ends first has left, in milliseconds; negative once it has ended. */
  leastLeftMs(): number {
    const now = this.#dependencies.clock.monotonicMs()
    return Math.min(...Array.from(this.#queue, ({ expiresAtMs }) => expiresAtMs - now))
  }

  /** How many SVIDs have ended without a renewal. */
  expiredCount(): number {
    return Array.from(this.#queue).filter(({ hasEnded }) => hasEnded).length
  }

  held(id: string, lifetime: Lifetime): void {
    // The first SVID of a workload may be replaced at once; one that came of a renewal has another behind it.
    const notBeforeMs = this.#queue.get(id) ? lifetime.receivedAtMs + leastIntervalMs(lifetime) : lifetime.receivedAtMs
    const dueAtMs = Math.max(notBeforeMs, renewalTimeMs(lifetime, this.#dependencies.random.fraction()))
    this.#queue.put(id, lifetime, { dueAtMs, notBeforeMs, wallAheadMs: this.#wallAheadMs() })
    this.#wake.abort()
  }

  forget(id: string): void {
    this.#queue.delete(id)
    this.#dependencies.observer.forgotten(id)
  }

  tokenCame(id: string): void {
    const entry = this.#queue.get(id)
    if (!entry) return
    if (entry.state === 'token') entry.state = 'waiting'
    // A token that was refused may have been the reason; the new one need not wait the back-off out.
    if (entry.failures > 0) this.#hurry(entry)
    this.#wake.abort()
  }

  hasten(ids: Iterable<string>): void {
    for (const id of ids) {
      const entry = this.#queue.get(id)
      if (entry) this.#hurry(entry)
    }
    this.#wake.abort()
  }

  /** The broker is back: what failed is tried again soon, instead of when its back-off is over. */
  brokerReturned(): void {
    const { random } = this.#dependencies
    for (const entry of this.#queue) {
      if (entry.failures > 0) this.#hurry(entry, random.fraction() * RETURN_SPREAD_MS)
    }
    this.#wake.abort()
  }

  #hurry(entry: Entry, afterMs = 0): void {
    const soon = Math.max(entry.notBeforeMs, this.#dependencies.clock.monotonicMs() + afterMs)
    entry.dueAtMs = Math.min(entry.dueAtMs, soon)
  }

  async #run(): Promise<void> {
    const { clock } = this.#dependencies
    while (!this.#stopping.signal.aborted) {
      this.#wake = new AbortController()
      this.#tellEnded()
      this.#hurryAfterSleep()
      this.#startDue()
      // With all places taken there is nothing to wake up for but an end of one, which wakes.
      const next = this.#underWay < MAX_BATCH ? this.#queue.nextMs() : Infinity
      const waitMs = Math.min(LONGEST_SLEEP_MS, Math.max(1, next - clock.monotonicMs()))
      await clock.sleep(waitMs, this.#wake.signal).catch(() => {})
    }
  }

  /**
   * The monotonic clock stands still while the machine is suspended, and certificates do not. The wall clock tells of it,
   * and may just as well have been set: so it brings a renewal forward, once, and is no reason to call an SVID expired.
   */
  #hurryAfterSleep(): void {
    const { clock, random } = this.#dependencies
    const [now, wallAheadMs] = [clock.monotonicMs(), this.#wallAheadMs()]
    for (const entry of this.#queue) {
      const sleptMs = wallAheadMs - entry.wallAheadMs
      if (entry.state !== 'waiting' || entry.failures > 0 || now + sleptMs < entry.dueAtMs) continue
      this.#hurry(entry, random.fraction() * RETURN_SPREAD_MS)
    }
  }

  #wallAheadMs(): number {
    const { clock } = this.#dependencies
    return clock.now().getTime() - clock.monotonicMs()
  }

  #tellEnded(): void {
    for (const entry of this.#queue.ended(this.#dependencies.clock.monotonicMs())) {
      entry.hasEnded = true
      this.#dependencies.target().expired(entry.id)
      this.#dependencies.observer.expired(entry.id)
    }
  }

  #startDue(): void {
    const due = this.#queue.due(this.#dependencies.clock.monotonicMs(), MAX_BATCH - this.#underWay)
    for (const entry of due) void this.#renew(entry)
  }

  async #renew(entry: Entry): Promise<void> {
    const { clock, target, observer, random } = this.#dependencies
    const { signal } = this.#stopping
    entry.state = 'renewed'
    this.#underWay += 1
    const leftMs = () => entry.expiresAtMs - clock.monotonicMs()
    try {
      const outcome = await target().renew(entry.id, urgencyAt(entry, clock.monotonicMs()), signal)
      if (outcome === 'renewed') observer.renewed(entry.id, leftMs())
      else entry.state = 'token'
    } catch (error) {
      entry.failures += 1
      entry.state = 'waiting'
      const retryAfterMs = error instanceof IdentityError ? error.retryAfterMs : undefined
      const bounds = { ...RETRY, maxMs: longestWaitMs(leftMs()) }
      const now = clock.monotonicMs()
      entry.dueAtMs = now + backoffMs(entry.failures, bounds, random, retryAfterMs)
      // Another token is another question: what the broker said of the last one does not bind it.
      entry.notBeforeMs = isOfToken(error) ? now : now + (retryAfterMs ?? 0)
      if (!signal.aborted) observer.failed(entry.id, codeOf(error), leftMs())
    } finally {
      this.#underWay -= 1
      this.#wake.abort()
    }
  }
}

/** A quarter of what is left, at most: an SVID that lives 10 s cannot wait as long as one of 1 h. */
function longestWaitMs(leftMs: number): number {
  return leftMs > 0 ? Math.min(RETRY.maxMs, Math.max(RETRY.firstMs, leftMs / 4)) : ENDED_RETRY_MS
}

function leastIntervalMs({ receivedAtMs, expiresAtMs }: Lifetime): number {
  const { minMs, maxMs } = LEAST_INTERVAL
  return Math.max(minMs, Math.min(maxMs, (expiresAtMs - receivedAtMs) / 4))
}

/** Whether it is the token alone that was refused. */
function isOfToken(error: unknown): boolean {
  return ERROR_CODES[codeOf(error)].status === 'UNAUTHENTICATED'
}
