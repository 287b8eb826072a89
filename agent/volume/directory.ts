import { Buffer } from 'node:buffer'
import { constants, type Stats } from 'node:fs'
import * as fs from 'node:fs/promises'
import { IdentityError } from '../../core/runtime/errors.ts'
import { type Access, hand } from './access.ts'
import { errnoOf } from './errno.ts'

/** From Linux's fcntl.h; Node.js does not name it. */
const O_PATH = 0o10000000
const OPEN_DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY
const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
const MAX_NAMES = 4096

/**
 * A folder held by its descriptor. Node.js has no openat(2); `/proc/self/fd/<descriptor>/<name>` does the same: it starts
 * from the folder that was opened, whatever has become of its path since. Names are single components and a link that
 * bears one is never followed, so that nobody who can write in the folder can lead us out of it (design §3).
 *
 * What is found to be a link, or of another kind than it should be, is refused as `volume_tampered`.
 */
export class Directory {
  readonly #handle: fs.FileHandle

  private constructor(handle: fs.FileHandle) {
    this.#handle = handle
  }

  /** Opens a folder that the operator named; links on the way to it are the operator's. */
  static async open(path: string): Promise<Directory> {
    return new Directory(await fs.open(path, OPEN_DIRECTORY))
  }

  /** A path that works while the folder is open, and is short whatever its depth. */
  get path(): string {
    return `/proc/self/fd/${this.#handle.fd}`
  }

  /** `name` in this folder, as a path. */
  at(name: string): string {
    if (!isName(name) || !isAscii(name)) throw new TypeError('not the name of an entry of ours')
    return `${this.path}/${name}`
  }

  /** The same of whatever name is in the folder: what is no UTF-8 can be named by its octets alone. */
  #at(name: string): string | Buffer {
    if (isAscii(name)) return this.at(name)
    if (!isName(name)) throw new TypeError('not the name of an entry')
    return Buffer.from(`${this.path}/${name}`, 'latin1')
  }

  /** The path that the kernel knows the folder by now. */
  realPath(): Promise<string> {
    return fs.readlink(this.path)
  }

  stat(): Promise<Stats> {
    return this.#handle.stat()
  }

  /** Which mount the folder is reached through. */
  mountId(): Promise<string> {
    return mountIdOf(this.#handle.fd)
  }

  /**
   * Opens a folder in this one, and of its mount: by the number of that, for what is bound from elsewhere may be of the
   * same device.
   *
   * @throws {@link IdentityError} `volume_tampered` for what something is mounted on.
   */
  async childOfSameMount(name: string): Promise<Directory> {
    const child = await this.child(name)
    try {
      await this.#checkMount(name, child.#handle.fd)
      return child
    } catch (error) {
      await child.close()
      throw error
    }
  }

  async #checkMount(name: string, fd: number): Promise<void> {
    if ((await mountIdOf(fd)) === (await this.mountId())) return
    throw new IdentityError('volume_tampered', `something is mounted on ${name}`)
  }

  /** Of all entries; a character for each octet, for kubelet makes folders whose names are no UTF-8. */
  async names(): Promise<string[]> {
    const names = await fs.readdir(this.path, 'latin1')
    if (names.length > MAX_NAMES) throw new IdentityError('volume_tampered', 'a folder holds more entries than we make')
    return names
  }

  /** What bears `name`, not looking through links; `undefined` for nothing. */
  async entry(name: string): Promise<Stats | undefined> {
    return absentAsUndefined(() => fs.lstat(this.#at(name)))
  }

  /** Where the link `name` leads; `undefined` if there is none. */
  readLink(name: string): Promise<string | undefined> {
    return absentAsUndefined(() => tampered(name, () => fs.readlink(this.#at(name))))
  }

  async child(name: string): Promise<Directory> {
    return new Directory(await tampered(name, () => fs.open(this.#at(name), OPEN_DIRECTORY | constants.O_NOFOLLOW)))
  }

  /** Makes a folder, closed to others until {@link Directory.grant}. */
  async makeChild(name: string): Promise<Directory> {
    await fs.mkdir(this.#at(name), 0o700)
    return this.child(name)
  }

  /** Gives the folder itself to others. */
  grant(access: Access): Promise<void> {
    return hand(this.#handle, access)
  }

  /** Makes a file, which only its owner can open until it is whole. */
  async createFile(name: string, contents: Uint8Array, { mode, gid }: Access): Promise<void> {
    const file = await tampered(name, () => fs.open(this.#at(name), CREATE, 0o600))
    try {
      await file.writeFile(contents)
      await hand(file, { mode, gid })
    } finally {
      await file.close()
    }
  }

  /** Reads a file of our own; a pipe, a device or a file of somebody else's is refused without waiting for it. */
  async readFile(name: string, maxBytes: number): Promise<Buffer> {
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
    const file = await tampered(name, () => fs.open(this.#at(name), flags))
    try {
      const stats = await file.stat()
      if (!stats.isFile() || stats.uid !== process.geteuid?.() || stats.size > maxBytes) {
        throw new IdentityError('volume_tampered', `${name} is not a file that the agent wrote`)
      }
      return await file.readFile()
    } finally {
      await file.close()
    }
  }

  /** Gives the file `name` to others, as {@link Directory.grantSocket} does. */
  grantFile(name: string, access: Access): Promise<void> {
    return this.#grantEntry(name, access, (stats) => stats.isFile())
  }

  /** Gives the socket `name` to others: the very one that was looked at, even if its name is taken meanwhile. */
  grantSocket(name: string, access: Access): Promise<void> {
    return this.#grantEntry(name, access, (stats) => stats.isSocket())
  }

  async #grantEntry(name: string, access: Access, isOurs: (stats: Stats) => boolean): Promise<void> {
    const entry = await tampered(name, () => fs.open(this.#at(name), O_PATH | constants.O_NOFOLLOW))
    try {
      if (!isOurs(await entry.stat())) throw new IdentityError('volume_tampered', `${name} is not what we made`)
      await this.#checkMount(name, entry.fd)
      const itself = `/proc/self/fd/${entry.fd}`
      await hand(
        {
          stat: () => entry.stat(),
          chmod: (mode) => fs.chmod(itself, mode),
          chown: (uid, gid) => fs.chown(itself, uid, gid),
        },
        access,
      )
    } finally {
      await entry.close()
    }
  }

  async link(name: string, target: string): Promise<void> {
    await tampered(name, () => fs.symlink(target, this.#at(name)))
  }

  /** Within the folder; neither name is followed. */
  async rename(from: string, to: string): Promise<void> {
    await tampered(to, () => fs.rename(this.#at(from), this.#at(to)))
  }

  /** Out of this folder into another of the same mount; neither name is followed. */
  async move(name: string, to: Directory, as: string): Promise<void> {
    await tampered(name, () => fs.rename(this.#at(name), to.#at(as)))
  }

  /** Removes a file, a link or a socket; nothing if there is none. */
  async unlink(name: string): Promise<void> {
    await absentAsUndefined(() => tampered(name, () => fs.unlink(this.#at(name))))
  }

  /** Removes an empty folder; nothing if there is none. */
  async removeChild(name: string): Promise<void> {
    await absentAsUndefined(() => tampered(name, () => fs.rmdir(this.#at(name))))
  }

  /** Overwrites a file with zeros, so that its pages hold nothing once they are freed. */
  blank(name: string): Promise<void> {
    // Ours are read-only, to all but root even for their owner.
    return this.#rewrite(name, 0o600, async (file, { size }) => {
      await file.write(new Uint8Array(size), 0, undefined, 0)
    })
  }

  /**
   * Puts other contents into a file that everybody may read, where it stands: for a volume without room for another one.
   * A reader may see some of both for a moment.
   */
  async overwrite(name: string, contents: Uint8Array): Promise<void> {
    await this.#rewrite(name, 0o644, async (file) => {
      await file.writeFile(contents)
      await file.truncate(contents.length)
      await file.chmod(0o444)
    })
  }

  async #rewrite(
    name: string,
    mode: number,
    work: (file: fs.FileHandle, stats: Stats) => Promise<void>,
  ): Promise<void> {
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
    const reader = await tampered(name, () => fs.open(this.#at(name), flags))
    try {
      const stats = await reader.stat()
      if (!stats.isFile()) throw new IdentityError('volume_tampered', `${name} is not what the agent put there`)
      // What is bound on it from elsewhere is not ours to change.
      await this.#checkMount(name, reader.fd)
      await reader.chmod(mode)
      const writer = await fs.open(`/proc/self/fd/${reader.fd}`, constants.O_WRONLY)
      try {
        await work(writer, stats)
      } finally {
        await writer.close()
      }
    } finally {
      await reader.close()
    }
  }

  close(): Promise<void> {
    return this.#handle.close()
  }
}

function isName(name: string): boolean {
  return name !== '' && name !== '.' && name !== '..' && !name.includes('/') && !name.includes('\0')
}

/** All names of ours are. */
function isAscii(name: string): boolean {
  // oxlint-disable-next-line no-control-regex
  return /^[\u0000-\u007F]*$/.test(name)
}

/** What the kernel says of links (ELOOP), of other kinds (ENOTDIR, EISDIR, EINVAL of readlink) and of names in use. */
const NOT_OURS = new Set(['ELOOP', 'ENOTDIR', 'EISDIR', 'EINVAL', 'EEXIST', 'ENOTEMPTY', 'ENXIO'])

async function tampered<T>(name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!NOT_OURS.has(errnoOf(error) ?? '')) throw error
    throw new IdentityError('volume_tampered', `${name} is not what the agent put there`, { cause: error })
  }
}

async function absentAsUndefined<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}

async function mountIdOf(fd: number): Promise<string> {
  const text = await fs.readFile(`/proc/self/fdinfo/${fd}`, 'utf8')
  const id = /^mnt_id:\s*(\d+)$/m.exec(text)?.[1]
  if (id === undefined) throw new Error('the kernel does not say which mount a descriptor is of')
  return id
}
