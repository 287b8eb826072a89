import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { Directory } from './directory.ts'
import { type MountEntry, parseMountInfo } from './mountinfo.ts'
import { Slots } from './slots.ts'
import { type Capacity, MOUNT_SOURCE, resizeOptions, tmpfsOptions } from './tmpfs-options.ts'

/** What the kernel does for us. */
export interface Mounter {
  /** Whatever is mounted on this path, the oldest first. */
  mountsAt(path: string): Promise<MountEntry[]>
  /** All mounts that bear our name. */
  ourMounts(): Promise<MountEntry[]>
  mountTmpfs(on: Directory, sizeBytes: number): Promise<void>
  resize(mounted: Directory, capacity: Capacity): Promise<void>
  /** `lazily`: out of sight at once, and freed when the last descriptor in it is closed. */
  unmount(parent: Directory, name: string, lazily: boolean): Promise<void>
}

/** How the system's mounter differs from node to node. */
export interface SystemMounterOptions {
  /** Label of the volumes on nodes with SELinux; `undefined` for none. */
  readonly selinuxContext?: string | undefined
}

const run = promisify(execFile)
const DEADLINE_MS = 10_000
const MAX_OUTPUT_BYTES = 64 * 1024
/** A node that starts asks for all its pods' volumes at once; how many it has bounds those that wait. */
const programs = new Slots(4)

/**
 * mount(8) and umount(8) of util-linux: Node.js cannot call mount(2). Each is run inside the folder that it is about and
 * told `.` or a bare name, never a path, so that it acts on what we hold open and not on what a path may lead to by then.
 */
export class SystemMounter implements Mounter {
  readonly #options: SystemMounterOptions

  constructor(options: SystemMounterOptions = {}) {
    this.#options = options
  }

  async mountsAt(path: string): Promise<MountEntry[]> {
    return (await readMounts()).filter(({ mountPoint }) => mountPoint === path)
  }

  async ourMounts(): Promise<MountEntry[]> {
    return (await readMounts()).filter(({ source }) => source === MOUNT_SOURCE)
  }

  async mountTmpfs(on: Directory, sizeBytes: number): Promise<void> {
    const selinuxContext = (await hasSelinux()) ? this.#options.selinuxContext : undefined
    const mount = (noswap: boolean) =>
      mountIn(on, ['-t', 'tmpfs', '-o', tmpfsOptions({ sizeBytes, noswap, selinuxContext }), MOUNT_SOURCE, '.'])
    try {
      await mount(true)
    } catch (error) {
      // Kernels before 6.4 do not know the option; without swap there is nothing to keep away from (invariant 6).
      if (await hasSwap()) throw error
      await mount(false)
    }
    if (selinuxContext !== undefined) await this.#checkLabel(on, selinuxContext)
  }

  async resize(mounted: Directory, capacity: Capacity): Promise<void> {
    await mountIn(mounted, ['-o', resizeOptions(capacity), '.'])
  }

  async unmount(parent: Directory, name: string, lazily: boolean): Promise<void> {
    await command('umount', ['--no-canonicalize', ...(lazily ? ['--lazy'] : []), name], parent)
  }

  /** mount(8) drops `context=` without a word where libselinux believes that SELinux is off, as in many containers. */
  async #checkLabel(on: Directory, context: string): Promise<void> {
    const entries = await this.mountsAt(await on.realPath())
    // A label may hold commas, and is then quoted.
    const said = entries.map(({ options }) => options.join(',').replaceAll('"', ''))
    if (said.some((options) => options.includes(`context=${context}`))) return
    throw new IdentityError(
      'mount_failed',
      'the SELinux label of the volume was not applied; no container could read it',
    )
  }
}

function mountIn(directory: Directory, args: readonly string[]): Promise<void> {
  return command('mount', ['--no-canonicalize', ...args], directory)
}

async function command(file: string, args: readonly string[], cwd: Directory): Promise<void> {
  try {
    await programs.run(() =>
      run(file, [...args], {
        cwd: cwd.path,
        timeout: DEADLINE_MS,
        killSignal: 'SIGKILL',
        maxBuffer: MAX_OUTPUT_BYTES,
        // The newer mount calls, which recent versions prefer, do not differ for us; one way is enough to know.
        env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C', LIBMOUNT_FORCE_MOUNT2: 'always' },
      }),
    )
  } catch (cause) {
    throw new IdentityError('mount_failed', `${file} failed`, { cause })
  }
}

async function readMounts(): Promise<MountEntry[]> {
  return parseMountInfo(await readFile('/proc/self/mountinfo', 'utf8'))
}

/** selinuxfs is there exactly where the kernel was started with SELinux. */
async function hasSelinux(): Promise<boolean> {
  return /\bselinuxfs$/m.test(await readFile('/proc/filesystems', 'utf8'))
}

/** The first line is a heading. */
async function hasSwap(): Promise<boolean> {
  const lines = (await readFile('/proc/swaps', 'utf8')).split('\n')
  return lines.slice(1).some((line) => line !== '')
}
