import type { Clock } from '../core/runtime/clock.ts'
import type { ErrorCode } from '../core/runtime/error-codes.ts'

/** What is wrong, and what an operator does about it. Names no secret: it is served to whoever may ask for the status. */
export interface ProblemReport {
  readonly code: ErrorCode
  readonly message: string
  readonly remedy: string
}

/** Something that is wrong now. */
export interface Problem extends ProblemReport {
  /** Which thing it is, the same as long as it lasts: `templates/web`, `rbac/list/pods`. */
  readonly key: string
  /** Since when, whatever was reported of it meanwhile. */
  readonly since: Date
}

/** More than anybody reads. */
const MAX_PROBLEMS = 500
/** The key of the last line of a list that is full. */
const MORE = 'problems/more'

/**
 * What is wrong with the broker now, told by its parts: the status serves it, and `countersign check` prints it. A part
 * that hits trouble of its own reports it here, and the rest keeps working.
 */
export class Problems {
  readonly #clock: Clock
  readonly #problems = new Map<string, Problem>()
  /** Those that did not fit. */
  readonly #unlisted = new Set<string>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Says that something is wrong, or what is wrong with it now. */
  report(key: string, { code, message, remedy }: ProblemReport): void {
    const known = this.#problems.get(key)
    if (!known && this.#problems.size >= MAX_PROBLEMS) {
      if (this.#unlisted.size < MAX_PROBLEMS) this.#unlisted.add(key)
      return
    }
    this.#unlisted.delete(key)
    this.#problems.set(key, { key, code, message, remedy, since: known?.since ?? this.#clock.now() })
  }

  /** Says that it is well again; nothing happens where nothing was wrong. */
  clear(key: string): void {
    this.#problems.delete(key)
    this.#unlisted.delete(key)
  }

  /** All that is wrong, the oldest first. */
  list(): readonly Problem[] {
    const listed = [...this.#problems.values()]
    if (this.#unlisted.size === 0) return listed
    return [
      ...listed,
      {
        key: MORE,
        code: 'overloaded',
        message: `at least ${this.#unlisted.size} more problems are not listed`,
        remedy: 'Solve those that are listed; the log has the others.',
        since: this.#clock.now(),
      },
    ]
  }
}
