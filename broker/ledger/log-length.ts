import { statSync } from 'node:fs'
import type { Clock } from '../../core/runtime/clock.ts'

/** Pages after which a commit also brings the log into the database: 16 MB. The log then begins anew, if nobody reads it. */
export const CHECKPOINT_PAGES = 4000
/** What a longer log is cut to when it begins anew. It is not reached in quiet times, so that the file is not cut each time. */
export const KEPT_BYTES = 20 * 1024 * 1024
/** A log that is longer has not begun anew for some time: somebody reads all the time. */
const LONG_BYTES = 24 * 1024 * 1024
/** The longest that a question waits for two commits: after the first all is in the database, the second begins anew. */
const PAUSE_MS = 1_000
/** Between two looks at the file. */
const LOOK_MS = 5

interface LogPauseDependencies {
  readonly clock: Pick<Clock, 'monotonicMs'>
  /** Bytes of the log's file. */
  readonly length: () => number
  /** Blocks the thread. */
  readonly block: (milliseconds: number) => void
}

/**
 * Keeps the write-ahead log from growing for as long as questions are asked without a break: none of it is written over
 * while a question reads it, and each next one would begin before the writer has got to its end. So when the log is long,
 * the reader leaves a gap, and nobody who writes ever waits for one who reads.
 */
export class LogPause {
  readonly #dependencies: LogPauseDependencies
  /** How long the log was after the last pause. */
  #leftAt = 0

  constructor(dependencies: LogPauseDependencies) {
    this.#dependencies = dependencies
  }

  /** To be called where nothing is read, before the next question. Nothing is waited for where nothing is written. */
  take(): void {
    const { clock, length, block } = this.#dependencies
    if (length() === this.#leftAt) return
    const endsAtMs = clock.monotonicMs() + PAUSE_MS
    while (length() > LONG_BYTES && clock.monotonicMs() < endsAtMs) block(LOOK_MS)
    this.#leftAt = length()
  }
}

/** Of the ledger `file`; 0 where there is no log yet. */
export function logLength(file: string): number {
  return statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0
}

/** For a thread that has nothing else to do. */
export function blockThread(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds)
}
