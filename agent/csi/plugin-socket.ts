import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import { chmod, lstat, rename, rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { IdentityError } from '../../core/runtime/errors.ts'
import { errnoOf } from '../volume/errno.ts'

/** sun_path without its ending NUL; Node.js would cut a longer one short without a word. */
const MAX_PATH_BYTES = 107
const MAX_CONNECTIONS = 16

/** What bears the socket's name in kubelet's folder. */
export type Standing = 'ours' | 'others' | 'nothing'

/** The socket in kubelet's folder of plug-ins, by which it finds the driver. */
export class PluginSocket {
  readonly #path: string
  readonly #next: string
  readonly #accept: (connection: Socket) => void
  readonly #failed: (error: unknown) => void
  #listener: Server | undefined
  #inode: bigint | undefined

  /**
   * @param failed told of a connection that cannot be accepted (no descriptor is left): it is kubelet's to make again.
   * @throws {@link IdentityError} `config_invalid` for a folder whose path is too long.
   */
  constructor(
    { folder, driver }: { readonly folder: string; readonly driver: string },
    accept: (connection: Socket) => void,
    failed: (error: unknown) => void,
  ) {
    // The name is always the same: kubelet refuses a second socket that announces the same driver. It looks at no name
    // that begins with a dot, so that the socket is whole before it is seen.
    this.#path = join(folder, `${driver}-reg.sock`)
    this.#next = join(folder, `.${driver}-reg.sock`)
    if (Buffer.byteLength(this.#next) > MAX_PATH_BYTES) {
      throw new IdentityError(
        'config_invalid',
        `csi.pluginsRegistry is too long for a socket (${MAX_PATH_BYTES} bytes)`,
      )
    }
    this.#accept = accept
    this.#failed = failed
  }

  /** Listens, in the place of whatever bears the name: kubelet registers anew where it sees one go and another come. */
  async listen(): Promise<void> {
    const listener = createServer(this.#accept)
    listener.maxConnections = MAX_CONNECTIONS
    listener.on('error', this.#failed)
    this.#listener = listener
    await rm(this.#next, { force: true })
    listener.listen(this.#next)
    await once(listener, 'listening')
    await chmod(this.#next, 0o600)
    this.#inode = await inodeOf(this.#next)
    await rm(this.#path, { force: true })
    await rename(this.#next, this.#path)
  }

  async standing(): Promise<Standing> {
    const inode = await inodeOf(this.#path)
    if (inode === undefined) return 'nothing'
    return inode === this.#inode ? 'ours' : 'others'
  }

  /** Stops listening. The socket of another agent, which has come meanwhile, stays. */
  async close(): Promise<void> {
    // While it is held open nobody else's can have its inode number.
    if (this.#listener && (await this.standing()) === 'ours') await rm(this.#path, { force: true })
    this.#listener?.close()
    this.#listener = undefined
  }
}

async function inodeOf(path: string): Promise<bigint | undefined> {
  try {
    return (await lstat(path, { bigint: true })).ino
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}
