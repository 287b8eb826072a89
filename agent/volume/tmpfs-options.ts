import { IdentityError } from '../../core/runtime/errors.ts'
import type { MountEntry } from './mountinfo.ts'

/** What our mounts are called in mountinfo. */
export const MOUNT_SOURCE = 'csi.countersign.dev'

const PAGE_BYTES = 4096
const LEAST_BYTES = 1024 * 1024
/** Two generations of a CRL of 100,000 entries, and one being written. */
const MOST_BYTES = 32 * 1024 * 1024
const LEAST_INODES = 256

/** What a volume must have: nothing in it is run, is a device or lends its owner's rights. */
const REQUIRED = ['nosuid', 'nodev', 'noexec'] as const

/** How a volume is mounted. */
export interface TmpfsSettings {
  readonly sizeBytes: number
  /** Kernels from 6.4 on keep a tmpfs out of swap when asked. */
  readonly noswap: boolean
  /** kubelet never relabels a read-only CSI volume, so on SELinux nodes the mount carries its label. */
  readonly selinuxContext?: string | undefined
}

/** The `-o` of mount(8). */
export function tmpfsOptions({ sizeBytes, noswap, selinuxContext }: TmpfsSettings): string {
  return [
    ...REQUIRED,
    `size=${sizeBytes}`,
    `nr_inodes=${LEAST_INODES}`,
    'mode=0755',
    ...(noswap ? ['noswap'] : []),
    ...(selinuxContext === undefined ? [] : [`context="${selinuxContext}"`]),
  ].join(',')
}

/** What a tmpfs has room for. */
export interface Capacity {
  readonly sizeBytes: number
  /** Files, folders and links. */
  readonly inodes: number
}

/** The `-o` with which a mount is made larger; what it does not name again it would lose. */
export function resizeOptions({ sizeBytes, inodes }: Capacity): string {
  return ['remount', ...REQUIRED, `size=${sizeBytes}`, `nr_inodes=${inodes}`].join(',')
}

/**
 * How large the tmpfs must be for generations of these files: two that stay and one that is being written.
 *
 * @throws {@link IdentityError} `volume_full` beyond 32 MiB: the pages count against the agent's own memory.
 */
export function tmpfsSize(fileBytes: readonly number[]): number {
  const pages = fileBytes.reduce((sum, bytes) => sum + Math.ceil(bytes / PAGE_BYTES) + 1, 0)
  return enlarged(pages * PAGE_BYTES * 3)
}

/** @throws As {@link tmpfsSize}. */
export function enlarged(bytes: number): number {
  let size = LEAST_BYTES
  while (size < bytes) size *= 2
  if (size > MOST_BYTES) throw new IdentityError('volume_full', `the files need more than ${MOST_BYTES} bytes`)
  return size
}

/** The root, the socket, the link that names the generation in force, and one to be renamed over each of the two. */
const OTHER_INODES = 5

/**
 * How many inodes the tmpfs must have for generations of so many files, at the peak of a write: two that stay and one that
 * is being written, and a link for each file of this one and of the one before. A mount that had more keeps them.
 */
export function tmpfsInodes(files: number): number {
  let inodes = LEAST_INODES
  while (inodes < 3 * (files + 1) + 2 * files + OTHER_INODES) inodes *= 2
  return inodes
}

/** Whether it is a mount of ours, in whatever state. */
export function isOurs({ fsType, source }: MountEntry): boolean {
  return fsType === 'tmpfs' && source === MOUNT_SOURCE
}

/** Which of our conditions a mount does not meet; `undefined` if it is one of ours. */
export function mountViolation(entry: MountEntry): string | undefined {
  if (!isOurs(entry)) return 'it is not a tmpfs of ours'
  const missing = REQUIRED.filter((option) => !entry.options.includes(option))
  return missing.length > 0 ? `it lacks ${missing.join(', ')}` : undefined
}
