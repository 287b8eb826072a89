import type { Clock } from '../../core/runtime/clock.ts'
import { TokenBuckets } from '../../core/runtime/token-bucket.ts'
import type { Refused } from './connection-limit.ts'
import type { OpenConnection } from './open-connections.ts'

/**
 * Bytes that a pod may send. A call with a connection of its own is some 400 of them, and asking whether the connection is
 * alive 17: what the other limits allow of these is less. Sent one frame at a time, they cost a tenth of a core.
 */
const RATE = { burst: 512 * 1024, perSecond: 16 * 1024 }
const LOOK_EVERY_MS = 250
/** However much a pod has sent, it is served again after a minute. */
const MAX_DEBT = RATE.perSecond * 60
/** What its connections may send between two looks, while it owes something. */
const ALLOWED_MEANWHILE = (RATE.perSecond * LOOK_EVERY_MS) / 1000

/**
 * What a pod sends, whatever it is. A frame that is no stream (PING, SETTINGS, WINDOW_UPDATE: 9 to 17 bytes) is dealt with
 * inside HTTP/2, where nobody hears of it, at millions a second; only the socket tells, by how much was read from it. So
 * that is looked at, and what comes between two looks is paid for later: the pod is kept out until then.
 */
export class ReadBounds {
  readonly #clock: Clock
  readonly #refused: Refused
  readonly #rates: TokenBuckets
  /** How much of each connection has been counted. */
  readonly #counted = new Map<OpenConnection, number>()
  #looking = new AbortController()

  constructor(clock: Clock, refused: Refused) {
    this.#clock = clock
    this.#refused = refused
    this.#rates = new TokenBuckets(clock, RATE)
  }

  /** Whether a pod has sent more than it may, which time alone makes good. */
  owes(owner: string): boolean {
    return this.#rates.take(owner, 0) > 0
  }

  watch(connection: OpenConnection): void {
    this.#counted.set(connection, 0)
    connection.socket.once('close', () => {
      this.#rates.charge(connection.owner, this.#count(connection), MAX_DEBT)
      this.#counted.delete(connection)
      if (this.#counted.size === 0) this.#looking.abort()
    })
    if (this.#counted.size === 1) void this.#look()
  }

  /** One wait for all connections, and none while there are none. */
  async #look(): Promise<void> {
    const { signal } = (this.#looking = new AbortController())
    for (;;) {
      try {
        await this.#clock.sleep(LOOK_EVERY_MS, signal)
      } catch {
        return
      }
      // Four times a second for as long as the agent lives: nothing is made where nothing came, as is usual.
      if (!this.#hasCome()) continue
      for (const [owner, connections] of Map.groupBy(this.#counted.keys(), (connection) => connection.owner))
        this.#charge(owner, connections)
    }
  }

  #hasCome(): boolean {
    for (const connection of this.#counted.keys())
      if (connection.socket.bytesRead !== this.#counted.get(connection)) return true
    return false
  }

  /** In debt, the greediest connections go, until what the others send keeps within the rate: those may be honest. */
  #charge(owner: string, connections: readonly OpenConnection[]): void {
    const reads = connections.map((connection) => ({ connection, bytes: this.#count(connection) }))
    let sent = reads.reduce((sum, { bytes }) => sum + bytes, 0)
    if (this.#rates.charge(owner, sent, MAX_DEBT) === 0) return
    for (const { connection, bytes } of reads.toSorted((a, b) => b.bytes - a.bytes)) {
      if (sent <= ALLOWED_MEANWHILE) return
      sent -= bytes
      connection.socket.destroy()
      this.#refused(connection.id, 'bytes')
    }
  }

  /** What was read since it was counted last. */
  #count(connection: OpenConnection): number {
    const { bytesRead } = connection.socket
    const since = bytesRead - (this.#counted.get(connection) ?? 0)
    this.#counted.set(connection, bytesRead)
    return since
  }
}
