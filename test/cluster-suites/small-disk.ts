import { appendFile, mkdtemp, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from '../cluster/base/run.ts'

const SIZE = '16m'

/** A disk that is easily full. */
export class SmallDisk {
  readonly path: string

  private constructor(path: string) {
    this.path = path
  }

  static async mount(): Promise<SmallDisk> {
    const path = await mkdtemp(join(tmpdir(), 'small-disk-'))
    await run('mount', ['-t', 'tmpfs', '-o', `size=${SIZE}`, 'small-disk', path])
    return new SmallDisk(path)
  }

  async unmount(): Promise<void> {
    await run('umount', ['--lazy', this.path])
    await rm(this.path, { recursive: true })
  }

  /** Takes all the room that is left, or has become free since. */
  async fill(): Promise<void> {
    const { bavail, bsize } = await statfs(this.path)
    await appendFile(this.#ballast, Buffer.alloc(bavail * bsize)).catch(fullBefore)
  }

  async free(): Promise<void> {
    await rm(this.#ballast, { force: true })
  }

  get #ballast(): string {
    return join(this.path, 'ballast')
  }
}

/** The ledger was quicker. */
function fullBefore(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOSPC') throw error
}
