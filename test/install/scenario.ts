import { elapsed, type Log } from '../cluster/base/log.ts'

export interface Counts {
  passed: number
  failed: number
}

/** Steps that build on one another: each is told as a line, and after one that failed the others are not tried. */
export class Scenario {
  readonly counts: Counts = { passed: 0, failed: 0 }
  readonly #log: Log
  readonly #signal: AbortSignal

  constructor(log: Log, signal: AbortSignal) {
    this.#log = log
    this.#signal = signal
  }

  /** @param action answers with what is worth telling, if anything is */
  readonly step = async (name: string, action: () => Promise<string | void>): Promise<void> => {
    if (this.counts.failed > 0) return
    const start = performance.now()
    try {
      this.#signal.throwIfAborted()
      const said = await action()
      this.counts.passed += 1
      this.#log(`✓ ${name} (${elapsed(start)})${said ? `\n    ${said}` : ''}`)
    } catch (error) {
      this.counts.failed += 1
      this.#log(`✗ ${name} (${elapsed(start)})\n    ${error instanceof Error ? error.message : String(error)}`)
    }
  }
}
