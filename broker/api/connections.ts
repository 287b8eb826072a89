import type { TLSSocket } from 'node:tls'
import type { Clock } from '../../core/runtime/clock.ts'
import type { X509Bundle } from '../../core/spiffe/bundle.ts'
import { nameConnection } from '../../proto/named-connection.ts'
import { Expiries } from '../sync/expiries.ts'
import { type Caller, judgeCaller, refused } from './caller.ts'
import type { Wire } from './flood-watch.ts'
import { NodeSuccession } from './node-succession.ts'
import { PeerSlots } from './peer-slots.ts'

/** An agent keeps one connection; while it replaces it, two. What is beyond that is dead, or not an agent's program. */
const MAX_PER_NODE = 8
/** Time enough to attest a node; nothing else can be done without a certificate. */
const ANONYMOUS_LIFE_MS = 15_000
/** Time enough for the answer that says why. */
const EXPIRED_GRACE_MS = 5_000

interface Dependencies {
  readonly clock: Clock
  readonly bundle: () => X509Bundle
  /** Hands the connection to the gRPC server for callers of its kind. */
  readonly inject: (socket: TLSSocket, kind: Caller['kind'], wire: Wire) => void
  /** Another node bears the name now: what the one before it said of itself is not its own. */
  readonly onSucceeded: (nodeName: string) => void
  /** Hears of each connection: who it is. */
  readonly onJudged: (caller: Caller, address: string) => void
  /** Connections of others than agents at a time: they may not use up what agents need. */
  readonly maxAnonymous: number
}

/** The connections that are open, each with its caller, judged once (design §5: not on each call). */
export class Connections {
  readonly #deps: Dependencies
  readonly #callers = new Map<string, Caller>()
  /** By node, oldest first. */
  readonly #perNode = new Map<string, Set<TLSSocket>>()
  readonly #succession = new NodeSuccession()
  readonly #strangers: PeerSlots
  /** By the wall clock, as certificates are. */
  readonly #certificateEnds: Expiries<TLSSocket>
  readonly #strangersEnds: Expiries<TLSSocket>
  #number = 0

  constructor(deps: Dependencies) {
    this.#deps = deps
    const { clock, maxAnonymous: max } = deps
    this.#strangers = new PeerSlots(clock, { max, maxPerAddress: max })
    const expire = (socket: TLSSocket) => void socket.destroy()
    this.#certificateEnds = new Expiries({ clock, nowMs: () => clock.now().getTime(), expire })
    this.#strangersEnds = new Expiries({ clock, nowMs: () => clock.monotonicMs(), expire })
  }

  /** The caller behind `Call.peer`. */
  callerOf(peer: string): Caller | undefined {
    return this.#callers.get(peer)
  }

  get size(): number {
    return this.#callers.size
  }

  accept(socket: TLSSocket, chain: readonly Uint8Array[], wire: Wire): void {
    const { clock, inject, onJudged } = this.#deps
    const address = socket.remoteAddress ?? 'unknown'
    const caller = this.#judge(chain)
    onJudged(caller, address)
    if (caller.kind === 'agent') this.#enter(caller.nodeName, socket)
    else if (!this.#enterStranger(socket)) return
    this.#number += 1
    const name = `${caller.kind === 'agent' ? caller.nodeName : address}#${this.#number}`
    nameConnection(socket, name)
    this.#callers.set(name, caller)
    if (caller.kind === 'agent') this.#certificateEnds.add(socket, caller.notAfter.getTime() + EXPIRED_GRACE_MS)
    else this.#strangersEnds.add(socket, clock.monotonicMs() + ANONYMOUS_LIFE_MS)
    socket.once('close', () => {
      this.#callers.delete(name)
      this.#certificateEnds.delete(socket)
      this.#strangersEnds.delete(socket)
    })
    inject(socket, caller.kind, wire)
  }

  #judge(chain: readonly Uint8Array[]): Caller {
    const { clock, bundle, onSucceeded } = this.#deps
    const now = clock.now()
    const caller = judgeCaller(chain, bundle(), now)
    if (caller.kind !== 'agent') return caller
    const { nodeName } = caller
    switch (this.#succession.judge(caller, now)) {
      case 'predecessor':
        return refused(new Error(`another node bears the name ${nodeName} now`))
      case 'successor':
        for (const socket of this.#perNode.get(nodeName) ?? []) socket.destroy()
        this.#perNode.delete(nodeName)
        onSucceeded(nodeName)
        return caller
      case 'same':
        return caller
    }
  }

  /** At the limit the oldest goes: an agent must always be able to come back, whatever became of its connections. */
  #enter(nodeName: string, socket: TLSSocket): void {
    const sockets = this.#perNode.get(nodeName) ?? new Set()
    this.#perNode.set(nodeName, sockets.add(socket))
    socket.once('close', () => {
      sockets.delete(socket)
      if (sockets.size === 0 && this.#perNode.get(nodeName) === sockets) this.#perNode.delete(nodeName)
    })
    if (sockets.size <= MAX_PER_NODE) return
    const [oldest] = sockets
    if (oldest) {
      sockets.delete(oldest)
      oldest.destroy()
    }
  }

  #enterStranger(socket: TLSSocket): boolean {
    const victim = this.#strangers.take(socket, socket.remoteAddress)
    socket.once('close', () => this.#strangers.release(socket))
    victim?.destroy()
    return victim !== socket
  }
}
