import type { Clock } from '../../core/runtime/clock.ts'
import { TokenBucket } from '../../core/runtime/token-bucket.ts'
import { reviewTemplates, type SeenPods } from '../registration/template-review.ts'
import type { TemplateState } from '../registration/template-source.ts'
import type { Condition, TemplateStatus } from '../registration/template-status.ts'
import type { ApiConnection } from './api-connection.ts'
import { MERGE_PATCH } from './api-request.ts'
import { TEMPLATES_PATH } from './template-custom-resources.ts'
import type { KeptTemplate } from './template-objects.ts'

/** What {@link TemplateStatuses} works with. */
export interface TemplateStatusesOptions {
  readonly api: ApiConnection
  readonly clock: Clock
  readonly objects: () => readonly KeptTemplate[]
  readonly seen: () => SeenPods | undefined
  /** Told what all templates have come to, after each look. */
  readonly onReviewed: (states: readonly TemplateState[]) => void
  /** Told why statuses could not be written; they will be. A missing rule has been reported already. */
  readonly onFailed: (error: unknown) => void
}

/** Pods come and go in bursts: a look is had once they have had some time to come. */
const SETTLE_MS = 1_000
/** A review that has taken long comes more seldom, so that at most a tenth of the time is spent on it. */
const REST_FACTOR = 9
/** Writes: how many pods it serves is not worth one each second, and a cluster of templates must not be a flood. */
const WRITES = { burst: 100, perSecond: 10 }
/** Writing thousands takes minutes: so long, and then it is looked again first, if there is anything to see. */
const WRITE_MS = 10_000
const RETRY_MS = 15_000

/**
 * Keeps the status of IdentityTemplates: looks whenever templates or pods have changed, and writes what differs from what
 * stands there, at a bounded rate. Without the rule to write it goes on looking, since problems are also reported otherwise.
 */
export class TemplateStatuses {
  readonly #options: TemplateStatusesOptions
  readonly #bucket: TokenBucket
  readonly #stop = new AbortController()
  readonly #running: Promise<void>
  #changed = Promise.withResolvers<void>()
  #isChanged = false

  constructor(options: TemplateStatusesOptions) {
    this.#options = options
    this.#bucket = new TokenBucket(options.clock, WRITES)
    this.#running = this.#run(this.#stop.signal).catch(() => {})
  }

  /** Something may be different now. */
  changed(): void {
    this.#isChanged = true
    this.#changed.resolve()
  }

  async close(): Promise<void> {
    this.#stop.abort()
    this.#changed.resolve()
    await this.#running
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, onFailed } = this.#options
    while (!signal.aborted) {
      await this.#changed.promise
      await clock.sleep(SETTLE_MS, signal)
      this.#changed = Promise.withResolvers()
      this.#isChanged = false
      try {
        await this.#round(signal)
      } catch (error) {
        signal.throwIfAborted()
        onFailed(error)
        // One that fails is like the next: a rule is missing, or the API server is away.
        this.changed()
        await clock.sleep(RETRY_MS, signal)
      }
    }
  }

  /** One look, and what it leads to. */
  async #round(signal: AbortSignal): Promise<void> {
    const { clock, objects, seen, onReviewed } = this.#options
    const beganAtMs = clock.monotonicMs()
    const looked = objects()
    const states = await withBreaths(reviewTemplates(looked, seen()))
    signal.throwIfAborted()
    onReviewed(states)
    const tookMs = clock.monotonicMs() - beganAtMs
    await this.#write(looked, states, signal)
    await clock.sleep(tookMs * REST_FACTOR, signal)
  }

  async #write(objects: readonly KeptTemplate[], states: readonly TemplateState[], signal: AbortSignal): Promise<void> {
    const { clock } = this.#options
    const end = clock.monotonicMs() + WRITE_MS
    for (const [index, state] of states.entries()) {
      // What is left is found again by the next look.
      if (this.#isChanged && clock.monotonicMs() >= end) return
      const before = objects[index]?.status ?? {}
      const status = statusOf(state, before, clock.now())
      if (isSame(status, before)) continue
      for (let waitMs = this.#bucket.take(); waitMs > 0; waitMs = this.#bucket.take()) await clock.sleep(waitMs, signal)
      await this.#patch(state.name, status, signal)
    }
  }

  async #patch(name: string, status: TemplateStatus, signal: AbortSignal): Promise<void> {
    const path = `${TEMPLATES_PATH}/${encodeURIComponent(name)}/status?fieldManager=countersign-broker`
    // A merge patch takes away only what it names.
    const body = JSON.stringify({ status: { ...status, serves: status.serves ?? null } })
    // An object that has gone meanwhile (404), or changed into what refuses this (422), is looked at again by itself.
    await this.#options.api.send({ method: 'PATCH', path, body, contentType: MERGE_PATCH, background: true }, signal)
  }
}

/** The status that says `state`; when it last changed is kept as long as it has not. */
export function statusOf(state: TemplateState, before: TemplateStatus, now: Date): TemplateStatus {
  const { ready, reason, message, generation, serves } = state
  const status = ready ? 'True' : 'False'
  const was = before.conditions?.find(({ type }) => type === 'Ready')
  const lastTransitionTime = was?.status === status ? was.lastTransitionTime : now.toISOString().replace(/\.\d+Z$/, 'Z')
  const condition: Condition = {
    type: 'Ready',
    ...{ status, reason, message, lastTransitionTime },
    observedGeneration: generation,
  }
  return {
    observedGeneration: generation,
    ...(serves && { serves: { pods: serves.pods, serviceAccounts: [...serves.serviceAccounts] } }),
    conditions: [condition],
  }
}

function isSame(one: TemplateStatus, other: TemplateStatus): boolean {
  return textOf(one) === textOf(other)
}

/** Whatever order the fields came in. */
function textOf({ observedGeneration, serves, conditions = [] }: TemplateStatus): string {
  return JSON.stringify([
    observedGeneration,
    serves && [serves.pods, serves.serviceAccounts],
    conditions.map((one) => [
      one.type,
      one.status,
      one.reason,
      one.message,
      one.observedGeneration,
      one.lastTransitionTime,
    ]),
  ])
}

/** Runs what yields now and then, and lets the other work of the program in between. */
async function withBreaths<T>(work: Generator<undefined, T>): Promise<T> {
  for (;;) {
    const step = work.next()
    if (step.done) return step.value
    await new Promise((resume) => setImmediate(resume))
  }
}
