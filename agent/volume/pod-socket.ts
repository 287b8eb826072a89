import { createServer, type Server, type Socket } from 'node:net'
import { once } from 'node:events'
import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { Directory } from './directory.ts'
import { type Readers, socketAccess } from './readers.ts'
import { removeEntry } from './remove-entry.ts'

/** The name that pods connect to, beside the files. */
export const SOCKET = 'socket'
export const NEXT_SOCKET = '..socket_next'
/** How long what was written last may take to leave. */
const LINGER_MS = 250

/** A workload's own socket: who reaches it is the workload (design §3). */
export class PodSocket {
  readonly #server: Server
  readonly #connections = new Set<Socket>()

  private constructor(accept: (connection: Socket) => void) {
    this.#server = createServer((connection) => {
      this.#connections.add(connection)
      connection.once('close', () => this.#connections.delete(connection))
      // Without a listener a peer that resets the connection would end the program.
      connection.on('error', () => {})
      accept(connection)
    })
  }

  /**
   * Listens as `socket` in `volume`. It is bound under another name and then renamed, so that it replaces the one of an
   * agent that is no more in one step, and nobody connects before it has its mode.
   *
   * Node.js cuts an address of more than 107 bytes short without a word, and so would listen elsewhere: hence the short
   * path by descriptor, and a look at what was bound.
   */
  static async open(volume: Directory, readers: Readers, accept: (connection: Socket) => void): Promise<PodSocket> {
    const existing = await volume.entry(SOCKET)
    if (existing?.isSocket() === false) throw new IdentityError('volume_tampered', `${SOCKET} is not our socket`)
    const socket = new PodSocket(accept)
    await removeEntry(volume, NEXT_SOCKET)
    try {
      socket.#server.listen(volume.at(NEXT_SOCKET))
      await once(socket.#server, 'listening')
      await volume.grantSocket(NEXT_SOCKET, socketAccess(readers))
      await volume.rename(NEXT_SOCKET, SOCKET)
    } catch (error) {
      socket.#server.close()
      throw error
    }
    socket.#server.on('error', () => {})
    return socket
  }

  /** Nobody but the owner may connect any more. Who is connected has to connect again: it may be somebody else. */
  async shut(volume: Directory): Promise<void> {
    try {
      await volume.grantSocket(SOCKET, socketAccess('owner'))
    } finally {
      for (const connection of this.#connections) connection.destroy()
    }
  }

  /** Stops listening and lets go of every connection: the kernel calls a mount busy while one is open. */
  async close(clock: Clock): Promise<void> {
    const closed = this.#server.listening ? once(this.#server, 'close') : undefined
    this.#server.close()
    for (const connection of this.#connections) connection.destroySoon()
    const lingered = new AbortController()
    const late = clock.sleep(LINGER_MS, lingered.signal).then(
      () => this.#connections.forEach((connection) => connection.destroy()),
      () => {},
    )
    await closed
    lingered.abort()
    await late
  }
}
