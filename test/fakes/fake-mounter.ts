import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Directory } from '../../agent/volume/directory.ts'
import { deviceOf, type MountEntry } from '../../agent/volume/mountinfo.ts'
import type { Mounter } from '../../agent/volume/mounter.ts'
import { type Capacity, MOUNT_SOURCE } from '../../agent/volume/tmpfs-options.ts'
import { IdentityError } from '../../core/runtime/errors.ts'

/** Mounts without root: a folder counts as mounted, and is empty again once it is not. */
export class FakeMounter implements Mounter {
  readonly mounts: MountEntry[] = []
  readonly sizes: number[] = []
  /** How often `unmount` says that the target is busy, before it does it. */
  busy = 0
  lazy = 0

  mountsAt(path: string): Promise<MountEntry[]> {
    return Promise.resolve(this.mounts.filter(({ mountPoint }) => mountPoint === path))
  }

  ourMounts(): Promise<MountEntry[]> {
    return Promise.resolve([...this.mounts])
  }

  async mountTmpfs(on: Directory, sizeBytes: number): Promise<void> {
    this.sizes.push(sizeBytes)
    this.mounts.push({
      device: deviceOf((await on.stat()).dev),
      mountPoint: await on.realPath(),
      fsType: 'tmpfs',
      source: MOUNT_SOURCE,
      options: ['rw', 'nosuid', 'nodev', 'noexec'],
    })
  }

  resize(_mounted: Directory, { sizeBytes }: Capacity): Promise<void> {
    this.sizes.push(sizeBytes)
    return Promise.resolve()
  }

  async unmount(parent: Directory, name: string, lazily: boolean): Promise<void> {
    if (lazily) this.lazy += 1
    else if (this.busy > 0) {
      this.busy -= 1
      throw new IdentityError('mount_failed', 'umount failed')
    }
    const path = join(await parent.realPath(), name)
    const index = this.mounts.findLastIndex(({ mountPoint }) => mountPoint === path)
    if (index === -1) throw new IdentityError('mount_failed', 'not mounted')
    this.mounts.splice(index, 1)
    for (const entry of await readdir(path)) await rm(join(path, entry), { recursive: true })
  }
}
