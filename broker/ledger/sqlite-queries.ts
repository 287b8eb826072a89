import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { AuditKey } from './audit-chain.ts'
import type { AuditFilter, AuditRecordRow, IdentityFilter, IdentityRow, LedgerQueries, PageBounds, PageOf } from './ledger-queries.ts' // prettier-ignore
import type { Answered, Asked, LedgerAnswers, LedgerQuestion, QueryWorkerData } from './sqlite-query-worker.ts'
import { storeError } from './store-error.ts'

/** Questions that may wait for their answer; each takes 0.2 s at most, and may wait 1 s for the log. */
const MAX_WAITING = 32
/** Far beyond what all of them together take: a thread that does not answer by then never will. */
const ANSWER_MS = 60_000
/** Nobody has asked for so long that its memory is better given back. */
const IDLE_MS = 60_000

interface Waiting {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

interface Thread {
  readonly worker: Worker
  readonly waiting: Map<number, Waiting>
  /** Aborted by the next question, or the end. */
  used: AbortController
}

/** Asks the ledger's file in SQLite from a thread of its own, which is there only as long as somebody asks. */
export class SqliteQueries implements LedgerQueries {
  readonly #data: QueryWorkerData
  readonly #clock: Clock
  #thread: Thread | undefined
  #isClosed = false
  #id = 0

  /** @param auditKey what records are checked with before they are served. */
  constructor(file: string, clock: Clock, auditKey: AuditKey) {
    this.#data = { file, auditKey }
    this.#clock = clock
  }

  identities(filter: IdentityFilter, { after, size }: PageBounds): Promise<PageOf<IdentityRow>> {
    return this.#ask({ ask: 'identities', filter, page: { after, size } })
  }

  identity(serialNumber: string): Promise<IdentityRow | undefined> {
    return this.#ask({ ask: 'identity', serialNumber })
  }

  issuance(serialNumber: string): Promise<AuditRecordRow | undefined> {
    return this.#ask({ ask: 'issuance', serialNumber })
  }

  auditRecords(filter: AuditFilter, { after, size }: PageBounds): Promise<PageOf<AuditRecordRow>> {
    return this.#ask({ ask: 'auditRecords', filter, page: { after, size } })
  }

  holders(at: Date, nodeName?: string): Promise<ReadonlyMap<string, Date>> {
    return this.#ask({ ask: 'holders', at, nodeName })
  }

  async close(): Promise<void> {
    this.#isClosed = true
    if (this.#thread) await this.#end(this.#thread, 'the ledger is closed')
  }

  async #ask<Q extends LedgerQuestion>(question: Q): Promise<LedgerAnswers[Q['ask']]> {
    if (this.#isClosed) throw new IdentityError('store_unavailable', 'the ledger is closed')
    const thread = (this.#thread ??= this.#start())
    if (thread.waiting.size >= MAX_WAITING) {
      throw new IdentityError('overloaded', 'too many questions to the ledger wait; try again', { retryAfterMs: 1000 })
    }
    thread.used.abort()
    thread.used = new AbortController()
    this.#id += 1
    const id = this.#id
    const answered = new AbortController()
    const answer = new Promise((resolve, reject) => thread.waiting.set(id, { resolve, reject }))
    thread.worker.postMessage({ ...question, id } satisfies Asked)
    void this.#giveUpIn(ANSWER_MS, thread, answered.signal)
    try {
      return (await answer) as LedgerAnswers[Q['ask']]
    } finally {
      answered.abort()
      if (thread.waiting.size === 0) void this.#endIdle(thread, thread.used.signal)
    }
  }

  #start(): Thread {
    const worker = new Worker(new URL(`./sqlite-query-worker${extname(import.meta.filename)}`, import.meta.url), {
      workerData: this.#data,
      name: 'ledger-queries',
      // Flags of the process that are not for a worker would keep it from starting.
      execArgv: [],
      resourceLimits: { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 64 },
    })
    const thread: Thread = { worker, waiting: new Map(), used: new AbortController() }
    worker.on('message', (answered: Answered) => {
      const waiting = thread.waiting.get(answered.id)
      thread.waiting.delete(answered.id)
      if ('failure' in answered) waiting?.reject(storeError(answered.failure))
      else waiting?.resolve(answered.value)
    })
    // What goes wrong with the thread goes wrong with those who wait: the next question starts another one.
    worker.on('error', (error) => this.#forget(thread, error.message))
    worker.on('exit', () => this.#forget(thread, 'the thread has ended'))
    return thread
  }

  async #giveUpIn(milliseconds: number, thread: Thread, answered: AbortSignal): Promise<void> {
    try {
      await this.#clock.sleep(milliseconds, answered)
    } catch {
      return
    }
    await this.#end(thread, 'the ledger did not answer in time')
  }

  async #endIdle(thread: Thread, used: AbortSignal): Promise<void> {
    try {
      await this.#clock.sleep(IDLE_MS, used)
    } catch {
      return
    }
    if (thread.waiting.size === 0) await this.#end(thread, 'nobody asks')
  }

  async #end(thread: Thread, why: string): Promise<void> {
    this.#forget(thread, why)
    await thread.worker.terminate()
  }

  #forget(thread: Thread, why: string): void {
    thread.used.abort()
    if (this.#thread === thread) this.#thread = undefined
    const error = new IdentityError('store_unavailable', 'the ledger cannot be asked now; try again', {
      retryAfterMs: 1000,
      cause: new Error(why),
    })
    for (const { reject } of thread.waiting.values()) reject(error)
    thread.waiting.clear()
  }
}
