import type { AuditEvent, IssuanceConclusion, IssuanceIntent, IssuanceRow, Ledger } from '../../broker/ledger/ledger.ts'
import type { IdentityError } from '../../core/runtime/errors.ts'

/** A ledger without a disk, held to the same contract as the real one. A test may read it, and may break it. */
export class MemoryLedger implements Ledger {
  readonly intents: IssuanceIntent[] = []
  readonly conclusions: IssuanceConclusion[] = []
  readonly events: AuditEvent[] = []
  readonly ended = new Map<string, Date>()
  stored: string | undefined
  /** Set to make every write fail with it. */
  failure: IdentityError | undefined
  #records = 0

  #write(count: number): void {
    if (this.failure) throw this.failure
    this.#records += count
  }

  async intend(intents: readonly IssuanceIntent[]): Promise<void> {
    this.#write(intents.length)
    this.intents.push(...intents)
  }

  conclude(conclusions: readonly IssuanceConclusion[]): void {
    if (this.failure) return
    this.#write(conclusions.length)
    this.conclusions.push(...conclusions)
  }

  end(nodeName: string, serialNumbers: readonly string[]): void {
    if (this.failure) return
    const own = serialNumbers.filter((serialNumber) =>
      this.intents.some((intent) => intent.serialNumber === serialNumber && intent.nodeName === nodeName),
    )
    const now = own.filter((serialNumber) => !this.ended.has(serialNumber))
    if (now.length > 0) this.#write(1)
    for (const serialNumber of now) this.ended.set(serialNumber, new Date(0))
  }

  async find(serialNumber: string): Promise<IssuanceRow | undefined> {
    const intent = this.intents.find((other) => other.serialNumber === serialNumber)
    const conclusion = this.conclusions.findLast((other) => other.serialNumber === serialNumber)
    return (
      intent && {
        serialNumber,
        kind: intent.kind,
        spiffeId: intent.spiffeId,
        nodeName: intent.nodeName,
        podUid: intent.pod?.uid ?? '',
        publicKeySha256: intent.publicKeySha256,
        authorityKeyId: intent.authorityKeyId,
        notAfter: intent.notAfter,
        outcome: conclusion?.outcome ?? 'intended',
        endedAt: this.ended.get(serialNumber),
      }
    )
  }

  record(event: AuditEvent): void {
    if (this.failure) return
    this.#write(1)
    this.events.push(event)
  }

  async verify(): Promise<number> {
    return this.#records
  }

  async unexpired(at: Date): Promise<ReadonlyMap<string, Date>> {
    const holders = new Map<string, Date>()
    for (const { nodeName, notAfter } of this.intents) {
      const newest = holders.get(nodeName)
      if (nodeName !== '' && notAfter > at && (!newest || newest < notAfter)) holders.set(nodeName, notAfter)
    }
    return holders
  }

  async load(): Promise<string | undefined> {
    return this.stored
  }

  async save(document: string): Promise<void> {
    this.#write(1)
    this.stored = document
  }

  problem(): string | undefined {
    return this.failure?.message
  }

  async close(): Promise<void> {}
}
