import type { TLSSocket } from 'node:tls'
import type { Clock } from '../../core/runtime/clock.ts'
import type { X509Bundle } from '../../core/spiffe/bundle.ts'
import { nameConnection } from '../../proto/named-connection.ts'
import type { Wire } from '../api/flood-watch.ts'
import { PeerSlots } from '../api/peer-slots.ts'
import { type AdminPeer, judgeAdminPeer } from './admin-peer.ts'

/** An operator asks and goes. Whoever stays longer connects again; a token comes with each call anyway. */
const LIFE_MS = 10 * 60_000
/** Time enough to connect and say something. */
const SILENT_MS = 15_000

interface Dependencies {
  readonly clock: Clock
  readonly bundle: () => X509Bundle
  /** Hands the connection to the gRPC server. */
  readonly inject: (socket: TLSSocket, wire: Wire) => void
  /** At a time; where there is no place left, one of the address that has most of them gives way. */
  readonly maxConnections: number
}

/** The connections of operators that are open, each judged once. */
export class AdminConnections {
  readonly #deps: Dependencies
  readonly #slots: PeerSlots
  readonly #peers = new Map<string, AdminPeer & { readonly isUsed: () => void }>()
  #number = 0

  constructor(deps: Dependencies) {
    this.#deps = deps
    this.#slots = new PeerSlots(deps.clock, { max: deps.maxConnections, maxPerAddress: deps.maxConnections })
  }

  get size(): number {
    return this.#peers.size
  }

  /** Who is behind `Call.peer`; called once per call, so that it also tells that the connection is of use. */
  peerOf(name: string): AdminPeer | undefined {
    const peer = this.#peers.get(name)
    peer?.isUsed()
    return peer
  }

  accept(socket: TLSSocket, chain: readonly Uint8Array[], wire: Wire): void {
    const { clock, bundle, inject } = this.#deps
    const victim = this.#slots.take(socket, socket.remoteAddress)
    socket.once('close', () => this.#slots.release(socket))
    victim?.destroy()
    if (victim === socket) return
    this.#number += 1
    const name = `${socket.remoteAddress ?? 'unknown'}#${this.#number}`
    nameConnection(socket, name)
    const used = new AbortController()
    const closed = new AbortController()
    this.#peers.set(name, { ...judgeAdminPeer(chain, bundle(), clock.now()), isUsed: () => used.abort() })
    socket.once('close', () => {
      this.#peers.delete(name)
      closed.abort()
    })
    void this.#destroyIn(SILENT_MS, socket, AbortSignal.any([used.signal, closed.signal]))
    void this.#destroyIn(LIFE_MS, socket, closed.signal)
    inject(socket, wire)
  }

  async #destroyIn(milliseconds: number, socket: TLSSocket, unless: AbortSignal): Promise<void> {
    try {
      await this.#deps.clock.sleep(milliseconds, unless)
    } catch {
      return
    }
    socket.destroy()
  }
}
