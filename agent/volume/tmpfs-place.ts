import { statfs } from 'node:fs/promises'
import type { Clock } from '../../core/runtime/clock.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { Directory } from './directory.ts'
import { errnoOf } from './errno.ts'
import { deviceOf, type MountEntry } from './mountinfo.ts'
import type { Mounter } from './mounter.ts'
import { enlarged, isOurs, mountViolation, tmpfsInodes, tmpfsSize } from './tmpfs-options.ts'
import type { VolumePlace } from './volume-place.ts'

/** Where a tmpfs is mounted: `<root>/<parents…>/<name>`. */
export interface MountTarget {
  /** The operator's word; links on the way to it are followed. */
  readonly root: string
  /** Folders that exist below it; no link is followed. */
  readonly parents: readonly string[]
  /** The folder to mount on: made, and removed again. */
  readonly name: string
}

/** How often a mount that is busy is asked again before it is detached as it is. */
const BUSY_WAITS_MS = [20, 50, 100, 200]
const MAX_STACKED = 16

/** A tmpfs of its own on a target path. It outlives the agent, and holds what no disk may (invariant 6). */
export class TmpfsPlace implements VolumePlace {
  readonly isOursAlone = true
  readonly #target: MountTarget
  readonly #mounter: Mounter
  readonly #clock: Clock

  constructor(target: MountTarget, mounter: Mounter, clock: Clock) {
    this.#target = target
    this.#mounter = mounter
    this.#clock = clock
  }

  async open(): Promise<Directory | undefined> {
    const parent = await openParent(this.#target)
    if (parent === undefined) return undefined
    try {
      const mounts = await this.#mounts(parent)
      return mounts.length === 0 ? undefined : await this.#openMounted(parent, mounts)
    } finally {
      await parent.close()
    }
  }

  async prepare(): Promise<Directory> {
    const parent = await openParent(this.#target)
    if (parent === undefined) throw new IdentityError('target_path_invalid', 'the folder of the volume does not exist')
    try {
      // An agent that lost its record finds the mount that running containers see: it is never covered.
      const existing = await this.#mounts(parent)
      if (existing.length > 0) return await this.#openMounted(parent, existing)
      try {
        await this.#mount(parent)
        return await this.#openMounted(parent, await this.#mounts(parent))
      } catch (error) {
        await this.release().catch(() => {})
        throw error
      }
    } finally {
      await parent.close()
    }
  }

  /** A volume's path is for root and its pod alone. */
  async admit(): Promise<void> {}

  async admits(): Promise<boolean> {
    return true
  }

  async reserve(volume: Directory, fileBytes: readonly number[]): Promise<void> {
    const needed = { sizeBytes: tmpfsSize(fileBytes), inodes: tmpfsInodes(fileBytes.length) }
    const { blocks, bsize, files } = await statfs(volume.path)
    const sizeBytes = Math.max(needed.sizeBytes, blocks * bsize)
    const inodes = Math.max(needed.inodes, files)
    if (sizeBytes > blocks * bsize || inodes > files) await this.#mounter.resize(volume, { sizeBytes, inodes })
  }

  async makeRoom(volume: Directory, fileBytes: readonly number[]): Promise<void> {
    const { blocks, bsize, bfree, files } = await statfs(volume.path)
    const missing = fileBytes.reduce((sum, bytes) => sum + Math.ceil(bytes / bsize), 0) - bfree
    if (missing <= 0) return
    await this.#mounter.resize(volume, { sizeBytes: enlarged((blocks + missing) * bsize), inodes: files })
  }

  async release(): Promise<void> {
    const parent = await openParent(this.#target)
    if (parent === undefined) return
    try {
      for (let count = 0; count < MAX_STACKED; count += 1) {
        const top = (await this.#mounts(parent)).at(-1)
        if (top === undefined) break
        // Someone on the node has put it there, and for a reason of theirs.
        if (!isOurs(top))
          throw new IdentityError('volume_tampered', 'another file system is mounted on the target path')
        await this.#unmount(parent)
      }
      await parent.removeChild(this.#target.name)
    } finally {
      await parent.close()
    }
  }

  async #mount(parent: Directory): Promise<void> {
    const { name } = this.#target
    const point = (await parent.entry(name)) === undefined ? await parent.makeChild(name) : await parent.child(name)
    try {
      await this.#mounter.mountTmpfs(point, tmpfsSize([]))
    } finally {
      await point.close()
    }
  }

  /** What is opened by name is proven to be the mount that was looked at. */
  async #openMounted(parent: Directory, mounts: readonly MountEntry[]): Promise<Directory> {
    const [mount, ...covering] = mounts
    if (mount === undefined || covering.length > 0) {
      throw new IdentityError('volume_tampered', `${mounts.length} file systems are mounted on the target path`)
    }
    const violation = mountViolation(mount)
    if (violation) throw new IdentityError('volume_tampered', `the mount on the target path is not ours: ${violation}`)
    const volume = await parent.child(this.#target.name)
    if (deviceOf((await volume.stat()).dev) === mount.device) return volume
    await volume.close()
    throw new IdentityError('volume_tampered', 'the target path was changed while it was looked at')
  }

  /** Someone who looks at the node may keep a volume busy; its files are wiped by then, so it is detached all the same. */
  async #unmount(parent: Directory): Promise<void> {
    for (const wait of BUSY_WAITS_MS) {
      try {
        return await this.#mounter.unmount(parent, this.#target.name, false)
      } catch {
        await this.#clock.sleep(wait)
      }
    }
    await this.#mounter.unmount(parent, this.#target.name, true)
  }

  async #mounts(parent: Directory): Promise<MountEntry[]> {
    return this.#mounter.mountsAt(`${await parent.realPath()}/${this.#target.name}`)
  }
}

/** Walks to the folder that holds the target, following no link below the root; `undefined` if part of it is missing. */
async function openParent({ root, parents }: MountTarget): Promise<Directory | undefined> {
  let directory: Directory | undefined
  try {
    directory = await Directory.open(root)
    for (const name of parents) {
      const above: Directory = directory
      directory = undefined
      try {
        directory = await above.child(name)
      } finally {
        await above.close()
      }
    }
    return directory
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    if (!(error instanceof IdentityError)) throw error
    throw new IdentityError('target_path_invalid', 'the target path leads through a link', { cause: error })
  }
}
