import type { Stats } from 'node:fs'
import { IdentityError } from '../../core/runtime/errors.ts'
import { errnoOf } from './errno.ts'

/** Who may use what is put into a folder. */
export interface Access {
  readonly mode: number
  /** The group it is handed to; without it, it stays in ours. */
  readonly gid?: number | undefined
}

/** Whether what has these `stats` may be used by exactly those whom `access` lets in. */
export function hasAccess({ mode, gid }: Pick<Stats, 'mode' | 'gid'>, access: Access): boolean {
  return (mode & PERMISSIONS) === access.mode && (access.gid === undefined || access.gid === gid)
}

/** What a file, a folder or a socket is given by. */
interface Handed {
  stat(): Promise<Stats>
  chmod(mode: number): Promise<void>
  chown(uid: number, gid: number): Promise<void>
}

const PERMISSIONS = 0o7777
const OF_OWNER = 0o700

/** Closed to all but its owner first: where it cannot be given to others, those who had it have it no more. */
export async function hand(itself: Handed, { mode, gid }: Access): Promise<void> {
  const now = await itself.stat()
  // Nobody who has it already is shut out, not even for a moment.
  if (hasAccess(now, { mode, gid })) return
  await itself.chmod(mode & OF_OWNER)
  await handOver(gid, (group) => itself.chown(now.uid, group))
  await itself.chmod(mode)
}

/** Only root gives a file to a group that it is not in (chown(2)): a setting that cannot work, not a bug. */
export async function handOver(gid: number | undefined, chown: (gid: number) => Promise<void>): Promise<void> {
  if (gid === undefined) return
  try {
    await chown(gid)
  } catch (cause) {
    if (errnoOf(cause) !== 'EPERM') throw cause
    const why = 'the user that the agent runs as is not in it'
    throw new IdentityError('config_invalid', `files cannot be given to the group ${gid}: ${why}`, { cause })
  }
}
