import type { Clock } from '../../core/runtime/clock.ts'

/** The most that one question may take of the thread that answers, which others wait for. */
const BUDGET_MS = 200

/** How long a search may go on. It is looked at between steps, and the first step is always taken. */
export class QueryBudget {
  readonly #clock: Pick<Clock, 'monotonicMs'>
  readonly #endsAtMs: number

  constructor(clock: Pick<Clock, 'monotonicMs'>, milliseconds = BUDGET_MS) {
    this.#clock = clock
    this.#endsAtMs = clock.monotonicMs() + milliseconds
  }

  get isSpent(): boolean {
    return this.#clock.monotonicMs() >= this.#endsAtMs
  }
}
