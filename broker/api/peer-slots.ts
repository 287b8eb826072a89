import type { Socket } from 'node:net'
import type { Clock } from '../../core/runtime/clock.ts'

export interface SlotLimits {
  readonly max: number
  readonly maxPerAddress: number
}

/** Of one address alone, a connection younger than this may still be about to come to something. */
const FRESH_MS = 2_000

/**
 * Places for connections that have proven nothing. Where none is left, one of the address that has the most gives way,
 * so that nobody keeps others out by holding on to all of them: one that has said nothing first, the oldest first.
 */
export class PeerSlots {
  readonly #clock: Clock
  readonly #limits: SlotLimits
  /** Since when each has its place, by address, oldest first. */
  readonly #taken = new Map<string, Map<Socket, number>>()
  readonly #addresses = new Map<Socket, string>()

  constructor(clock: Clock, limits: SlotLimits) {
    this.#clock = clock
    this.#limits = limits
  }

  get size(): number {
    return this.#addresses.size
  }

  /** Takes a place until `release`. Returns who has to go for it: nobody, another, or `socket` itself. */
  take(socket: Socket, peer: string | undefined): Socket | undefined {
    const address = addressKey(peer)
    const own = this.#taken.get(address) ?? new Map<Socket, number>()
    let victim: Socket | undefined
    if (own.size >= this.#limits.maxPerAddress || this.size >= this.#limits.max) {
      const [fullest, holders] = this.#fullest(address, own)
      victim = own.size >= this.#limits.maxPerAddress || fullest === address ? this.#stale(own) : first(holders)
      if (victim === undefined) return socket
      this.release(victim)
    }
    this.#taken.set(address, own.set(socket, this.#clock.monotonicMs()))
    this.#addresses.set(socket, address)
    return victim
  }

  release(socket: Socket): void {
    const address = this.#addresses.get(socket)
    if (address === undefined) return
    this.#addresses.delete(socket)
    const holders = this.#taken.get(address)
    holders?.delete(socket)
    if (holders?.size === 0) this.#taken.delete(address)
  }

  /** Those that have said nothing in all that time. */
  silentFor(milliseconds: number): Socket[] {
    const before = this.#clock.monotonicMs() - milliseconds
    return [...this.#taken.values()]
      .flatMap((holders) => [...holders])
      .filter(([socket, since]) => since <= before && socket.bytesRead === 0)
      .map(([socket]) => socket)
  }

  #fullest(address: string, own: ReadonlyMap<Socket, number>): [string, ReadonlyMap<Socket, number>] {
    let fullest: [string, ReadonlyMap<Socket, number>] = [address, own]
    for (const entry of this.#taken) if (entry[1].size > fullest[1].size) fullest = entry
    return fullest
  }

  #stale(holders: ReadonlyMap<Socket, number>): Socket | undefined {
    const stale = this.#clock.monotonicMs() - FRESH_MS
    for (const [socket] of holders) if (socket.bytesRead === 0) return socket
    for (const [socket, since] of holders) if (since <= stale) return socket
    return undefined
  }
}

function first(holders: ReadonlyMap<Socket, number>): Socket | undefined {
  let oldest: Socket | undefined
  for (const [socket] of holders) {
    if (socket.bytesRead === 0) return socket
    oldest ??= socket
  }
  return oldest
}

/** Whoever has one IPv6 address has a network of them (RFC 4291 §2.5.4: the first 64 bits). */
export function addressKey(peer = 'unknown'): string {
  if (!peer.includes(':')) return peer
  if (peer.startsWith('::ffff:')) return peer.slice('::ffff:'.length)
  return wordsOf(peer).slice(0, 4).join(':')
}

/** All eight, for `::` may stand for words of the network as well (RFC 4291 §2.2): `fd00::1:a:b:c:d` is in `fd00:0:0:1`. */
function wordsOf(address: string): string[] {
  const [head = [], tail] = address.split('::').map((part) => (part === '' ? [] : part.split(':')))
  if (!tail) return head
  const zeros = Math.max(0, 8 - head.length - tail.length)
  return [...head, ...Array.from({ length: zeros }, () => '0'), ...tail]
}
