import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { boundedTexts, type ConclusionRecord, type EndRecord, intentRecord } from './audit-record.ts'
import type { AuditEvent, IssuanceConclusion, IssuanceIntent, IssuanceRow, Ledger } from './ledger.ts'
import type { Answers, Query } from './sqlite-reader.ts'
import type { ChainHead, DatabaseOptions } from './sqlite-database.ts'
import type { Reply, Request } from './sqlite-worker.ts'
import type { SavedAuthorities, Write } from './sqlite-writer.ts'
import { storeError } from './store-error.ts'

/** Writes that may wait for the disk; more are refused with `overloaded`. At 400 bytes each this is 8 MiB. */
const MAX_WAITING = 20_000
/** Characters of them, those on their way to the disk included: few large writes are as dear as many small ones. */
const MAX_WAITING_CHARACTERS = 16 * 1024 * 1024
/** How long what nobody waits for may wait for company: a result usually shares the transaction of the next intents. */
const LINGER_MS = 20
/** Writes of one transaction: bounds how long the first of them waits for the last. */
const MAX_BATCH = 2_000
/** Results in one record: 18 KB of text. */
const MAX_CONCLUDED = 500

export interface SqliteLedgerOptions extends DatabaseOptions {
  readonly clock: Clock
  /** Hears of writes that nobody waits for and that were lost: results, audit records. */
  readonly onLost?: (error: Error, count: number) => void
  /** Hears that the worker has ended without being asked to: a bug, or memory ran out. Nothing is written any more. */
  readonly onStopped?: (error: Error) => void
}

/**
 * The ledger in SQLite, behind a worker thread. Whatever arrives while a transaction is on its way to the disk is
 * written together in the next one (group commit), and crosses to the worker in one message.
 */
export class SqliteLedger implements Ledger {
  readonly #worker: Worker
  readonly #clock: Clock
  readonly #onLost: (error: Error, count: number) => void
  /** Kind and text by turns. */
  #writes: string[] = []
  /** Results that are waiting, by outcome: put down together. */
  readonly #concluded = new Map<IssuanceConclusion['outcome'], string[]>()
  /** Who waits for the writes that are waiting. */
  #committed: { resolve: () => void; reject: (error: Error) => void }[] = []
  /** Of what waits or is on its way to the disk, what nobody would hear of. */
  #unawaited = 0
  #characters = 0
  #isFlushing = false
  #isScheduled = false
  #isLingering = false
  readonly #replies: ((reply: Reply) => void)[] = []
  #problem: string | undefined
  #broken: Error | undefined
  #onStopped: (error: Error) => void = () => {}

  /** @throws `IdentityError` `store_unavailable`, `store_corrupt` or `store_too_new`. */
  static async open({ clock, onLost, onStopped, ...options }: SqliteLedgerOptions): Promise<SqliteLedger> {
    const worker = new Worker(new URL(`./sqlite-worker${extname(import.meta.filename)}`, import.meta.url), {
      workerData: options,
      name: 'ledger',
      // Flags of the process that are not for a worker would keep it from starting.
      execArgv: [],
      // Short-lived rows are all that this thread allocates: a small young generation keeps its pauses short.
      resourceLimits: { maxYoungGenerationSizeMb: 4 },
    })
    const ledger = new SqliteLedger(worker, clock, onLost ?? (() => {}))
    await ledger.#reply()
    ledger.#onStopped = onStopped ?? (() => {})
    return ledger
  }

  private constructor(worker: Worker, clock: Clock, onLost: (error: Error, count: number) => void) {
    this.#worker = worker
    this.#clock = clock
    this.#onLost = onLost
    worker.on('message', (reply: Reply) => this.#replies.shift()?.(reply))
    worker.on('error', (error) => this.#break(error))
    worker.on('exit', () => this.#break(new Error('the worker of the ledger has ended')))
  }

  intend(intents: readonly IssuanceIntent[]): Promise<void> {
    const at = this.#clock.now()
    return this.#commit(intents.map((intent) => ['intent', JSON.stringify(intentRecord(intent, at))]))
  }

  conclude(conclusions: readonly IssuanceConclusion[]): void {
    for (const { serialNumber, outcome } of conclusions) {
      const serialNumbers = this.#concluded.get(outcome) ?? []
      if (serialNumbers.push(serialNumber) === 1) this.#concluded.set(outcome, serialNumbers)
      if (serialNumbers.length >= MAX_CONCLUDED) this.#writeConclusions()
    }
    void this.#linger()
  }

  /** @param isDue they go with what is being written: there is room for them then, however much it is. */
  #writeConclusions(isDue = false): void {
    for (const [outcome, serialNumbers] of this.#concluded) {
      const at = this.#clock.now().toISOString()
      const record: ConclusionRecord = { event: 'issuance_concluded', at, outcome, serialNumbers }
      this.#writeUnawaited('conclusion', record, { count: serialNumbers.length, isDue })
    }
    this.#concluded.clear()
  }

  end(nodeName: string, serialNumbers: readonly string[]): void {
    const record: EndRecord = { event: 'svids_ended', at: this.#clock.now().toISOString(), nodeName, serialNumbers }
    this.#writeUnawaited('end', record)
  }

  record(event: AuditEvent): void {
    this.#writeUnawaited('audit', { at: this.#clock.now().toISOString(), ...boundedTexts(event) })
  }

  find(serialNumber: string): Promise<IssuanceRow | undefined> {
    return this.#ask({ ask: 'find', serialNumber })
  }

  unexpired(at: Date): Promise<ReadonlyMap<string, Date>> {
    return this.#ask({ ask: 'holders', at: at.getTime() })
  }

  load(): Promise<string | undefined> {
    return this.#ask({ ask: 'authorities' })
  }

  save(document: string): Promise<void> {
    const saved: SavedAuthorities = { at: this.#clock.now().toISOString(), document }
    return this.#commit([['authorities', JSON.stringify(saved)]])
  }

  verify(): Promise<number> {
    return this.#ask({ ask: 'verify' })
  }

  /**
   * The newest record, once everything that waits now is written: kept elsewhere, it shows that records were cut off. What
   * comes after the call may or may not be in it: waited for, steady writes would put this off for good.
   */
  async head(): Promise<ChainHead> {
    // What could not be written was not acknowledged, and the newest record is told all the same.
    if (this.#isWaiting || this.#isFlushing) await this.#commit([]).catch(() => {})
    return (await this.#send({ head: true })) as ChainHead
  }

  /**
   * Lets a few of the oldest rows go that ended before `before`, after the transaction that is on its way: in a broker that
   * always has something to write there is no better moment, and its disk must not fill up.
   *
   * @returns how many; 0 when there are no more.
   */
  async prune(before: Date): Promise<number> {
    return (await this.#send({ prune: before.getTime() })) as number
  }

  problem(): string | undefined {
    return this.#problem
  }

  get #isWaiting(): boolean {
    return this.#writes.length > 0 || this.#concluded.size > 0
  }

  /** Whoever writes is to have stopped before: what is still written meanwhile is waited for, too. */
  async close(): Promise<void> {
    while (!this.#broken && (this.#isWaiting || this.#isFlushing)) await this.#commit([]).catch(() => {})
    if (this.#broken) return
    const exited = new Promise<void>((resolve) => this.#worker.once('exit', () => resolve()))
    this.#broken = new Error('the ledger is closed')
    this.#worker.postMessage({ close: true } satisfies Request)
    await exited
  }

  #commit(writes: readonly Write[]): Promise<void> {
    if (this.#broken) return Promise.reject(this.#unavailable())
    const isFull =
      this.#writes.length + 2 * writes.length > 2 * MAX_WAITING || this.#characters > MAX_WAITING_CHARACTERS
    // Who adds nothing and only waits for what is there is always let in.
    if (isFull && writes.length > 0) {
      return Promise.reject(
        new IdentityError('overloaded', 'too many writes wait for the ledger; try again', { retryAfterMs: 1000 }),
      )
    }
    for (const [kind, text] of writes) this.#push(kind, text)
    return new Promise((resolve, reject) => {
      this.#committed.push({ resolve, reject })
      this.#schedule()
    })
  }

  /** @param count of what is lost where `record` is. */
  #writeUnawaited(kind: Write[0], record: object, { count = 1, isDue = false } = {}): void {
    const isFull = this.#writes.length >= 2 * MAX_WAITING || this.#characters > MAX_WAITING_CHARACTERS
    if (this.#broken || (isFull && !isDue)) {
      this.#onLost(this.#unavailable(), count)
      return
    }
    this.#push(kind, JSON.stringify(record))
    this.#unawaited += count
    void this.#linger()
  }

  #push(kind: Write[0], text: string): void {
    this.#writes.push(kind, text)
    this.#characters += text.length
  }

  async #linger(): Promise<void> {
    if (this.#isLingering) return
    this.#isLingering = true
    await this.#clock.sleep(LINGER_MS)
    this.#isLingering = false
    if (this.#isWaiting) this.#schedule()
  }

  /** Once per turn of the event loop, so that all that arrives in one turn crosses in one message. */
  #schedule(): void {
    if (this.#isScheduled || this.#isFlushing) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      void this.#flush()
    })
  }

  async #flush(): Promise<void> {
    if (this.#isFlushing) return
    this.#isFlushing = true
    do {
      this.#writeConclusions(true)
      if (this.#broken) break
      const writes = this.#writes
      const committed = this.#committed
      const unawaited = this.#unawaited
      const characters = this.#characters
      this.#writes = []
      this.#committed = []
      try {
        for (let start = 0; start < writes.length; start += 2 * MAX_BATCH) {
          await this.#send({ writes: writes.slice(start, start + 2 * MAX_BATCH) })
        }
        this.#problem = undefined
        for (const { resolve } of committed) resolve()
      } catch (error) {
        this.#problem = (error as Error).message
        for (const { reject } of committed) reject(error as Error)
        // The end of the worker has counted them already.
        if (unawaited > 0 && !this.#broken) this.#onLost(error as Error, unawaited)
      }
      this.#characters -= characters
      this.#unawaited -= unawaited
      // What came meanwhile goes next, if anybody waits for it.
    } while (this.#committed.length > 0 && !this.#broken)
    if (this.#isWaiting) void this.#linger()
    this.#isFlushing = false
  }

  #ask<Q extends Query>(query: Q): Promise<Answers[Q['ask']]> {
    if (this.#broken) return Promise.reject(this.#unavailable())
    return this.#send({ query }) as Promise<Answers[Q['ask']]>
  }

  #send(request: Request): Promise<unknown> {
    if (this.#broken) return Promise.reject(this.#unavailable())
    this.#worker.postMessage(request)
    return this.#reply()
  }

  /** The worker answers in the order it is asked. */
  #reply(): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#replies.push((reply) => ('failure' in reply ? reject(storeError(reply.failure)) : resolve(reply.value)))
    })
  }

  #break(error: Error): void {
    const isNew = !this.#broken
    this.#broken ??= error
    this.#problem = 'the ledger has stopped'
    const failure = { code: 'store_unavailable', message: 'the ledger has stopped', detail: error.message } as const
    for (const settle of this.#replies.splice(0)) settle({ failure })
    for (const { reject } of this.#committed.splice(0)) reject(this.#unavailable())
    this.#loseWaiting()
    // Last, for it may end the process.
    if (isNew) this.#onStopped(error)
  }

  #loseWaiting(): void {
    this.#writeConclusions()
    if (this.#unawaited > 0) this.#onLost(this.#unavailable(), this.#unawaited)
    this.#unawaited = 0
    this.#writes = []
  }

  #unavailable(): IdentityError {
    return new IdentityError('store_unavailable', 'the ledger has stopped', { cause: this.#broken })
  }
}
