import { statfs } from 'node:fs/promises'
import { IdentityError } from '../../core/runtime/errors.ts'
import { hasAccess } from './access.ts'
import { Directory } from './directory.ts'
import { folderAccess, type Readers } from './readers.ts'
import type { VolumePlace } from './volume-place.ts'

/** Where a workload without Kubernetes finds its files: `<root>/<name>`. */
export interface DirectoryPlaceOptions {
  readonly root: string
  readonly name: string
  /** The operator's flag: private keys may be written to a disk (design §3). */
  readonly allowDisk: boolean
}

/** `f_type` of statfs(2): TMPFS_MAGIC and RAMFS_MAGIC. */
const IN_MEMORY = new Set([0x01021994, 0x858458f6])
const WRITABLE_BY_OTHERS = 0o022

/**
 * Refuses a folder for keys on a disk before anything is asked of the broker for it.
 *
 * @throws {@link IdentityError} `disk_not_allowed`
 */
export async function requireMemory(path: string): Promise<void> {
  if (!IN_MEMORY.has((await statfs(path)).type)) throw diskNotAllowed(path)
}

function diskNotAllowed(path: string): IdentityError {
  const wayOut = 'use a tmpfs, or allow keys on a disk by workloads.allowDisk (--allow-disk)'
  return new IdentityError('disk_not_allowed', `${path} is not on a tmpfs: ${wayOut}`)
}

/** A folder that is there already or is made; nothing is mounted, and no root is needed. */
export class DirectoryPlace implements VolumePlace {
  /** Only the operator can have put anything beside our files, or under their names: it may be his one copy of a key. */
  readonly isOursAlone = false
  readonly #options: DirectoryPlaceOptions

  constructor(options: DirectoryPlaceOptions) {
    this.#options = options
  }

  async open(): Promise<Directory | undefined> {
    const root = await Directory.open(this.#options.root)
    try {
      const exists = (await root.entry(this.#options.name)) !== undefined
      return exists ? await this.#checked(await root.child(this.#options.name)) : undefined
    } finally {
      await root.close()
    }
  }

  async prepare(): Promise<Directory> {
    const existing = await this.open()
    if (existing) return existing
    const root = await Directory.open(this.#options.root)
    try {
      return await this.#checked(await root.makeChild(this.#options.name))
    } finally {
      await root.close()
    }
  }

  admit(volume: Directory, readers: Readers): Promise<void> {
    return volume.grant(folderAccess(readers))
  }

  async admits(volume: Directory, readers: Readers): Promise<boolean> {
    return hasAccess(await volume.stat(), folderAccess(readers))
  }

  /** A folder grows by itself. */
  async reserve(): Promise<void> {}

  async makeRoom(): Promise<void> {}

  async release(): Promise<void> {
    const root = await Directory.open(this.#options.root)
    try {
      // What others put beside our files is theirs, and keeps the folder.
      await root.removeChild(this.#options.name).catch((error: unknown) => {
        if (!(error instanceof IdentityError)) throw error
      })
    } finally {
      await root.close()
    }
  }

  async #checked(directory: Directory): Promise<Directory> {
    try {
      const { uid, mode } = await directory.stat()
      if (uid !== process.geteuid?.() || (mode & WRITABLE_BY_OTHERS) !== 0) {
        throw new IdentityError('volume_tampered', 'others than the agent may write in the folder')
      }
      const { type } = await statfs(directory.path)
      if (!this.#options.allowDisk && !IN_MEMORY.has(type)) {
        throw diskNotAllowed(`${this.#options.root}/${this.#options.name}`)
      }
      return directory
    } catch (error) {
      await directory.close()
      throw error
    }
  }
}
