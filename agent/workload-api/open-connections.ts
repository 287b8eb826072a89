import type { Socket } from 'node:net'
import type { ConnectionLimit, Refused } from './connection-limit.ts'

/** A connection on a pod's socket. */
export interface OpenConnection {
  /** The workload whose socket it came on. */
  readonly id: string
  /** Who answers for it: all volumes of a pod share its limits. */
  readonly owner: string
  readonly socket: Socket
  /** How many streams it has open. */
  streams: number
}

/**
 * Connections of one pod at a time, so that it uses up only what is its own: ten processes with two each, and room for as
 * many again while they are replaced. Node reads up to 2 MiB of each before anything else has its turn, 0.3 s for them all.
 */
export const MAX_CONNECTIONS = 32
/** Of all pods; more than 110 pods can come to have. */
const MAX_ON_NODE = 4096

/** The connections on the sockets of all pods. */
export class OpenConnections {
  readonly #byOwner = new Map<string, Set<OpenConnection>>()
  readonly #refused: Refused
  #count = 0

  constructor(refused: Refused) {
    this.#refused = refused
  }

  get count(): number {
    return this.#count
  }

  /**
   * Takes a connection on until it closes. At its pod's limit the oldest one without a stream makes room: its client
   * connects again when it needs to. The limit that is reached, if there is none such.
   */
  take(id: string, owner: string, socket: Socket): OpenConnection | ConnectionLimit {
    const owned = this.#byOwner.get(owner) ?? new Set()
    if (this.#count >= MAX_ON_NODE) return 'node'
    if (owned.size >= MAX_CONNECTIONS) {
      const idle = [...owned].find(({ streams }) => streams === 0)
      if (!idle) return 'connections'
      this.#forget(idle)
      idle.socket.destroy()
      this.#refused(idle.id, 'connections')
    }
    const connection: OpenConnection = { id, owner, socket, streams: 0 }
    this.#byOwner.set(owner, owned.add(connection))
    this.#count += 1
    socket.once('close', () => this.#forget(connection))
    return connection
  }

  of(id: string): OpenConnection[] {
    return this.all().filter((connection) => connection.id === id)
  }

  all(): OpenConnection[] {
    return Array.from(this.#byOwner.values(), (owned) => [...owned]).flat()
  }

  #forget(connection: OpenConnection): void {
    const owned = this.#byOwner.get(connection.owner)
    if (!owned?.delete(connection)) return
    this.#count -= 1
    if (owned.size === 0) this.#byOwner.delete(connection.owner)
  }
}
