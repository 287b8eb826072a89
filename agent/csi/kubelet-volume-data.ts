import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { MOUNT_SOURCE } from '../volume/tmpfs-options.ts'
import { errnoOf } from '../volume/errno.ts'

/**
 * What kubelet's record of a target path says. `forgotten`: it knows of no volume there. `unreadable`: it knows of one,
 * and not which can be told.
 */
export type KubeletsWord = 'forgotten' | 'unreadable' | { readonly driverName: string; readonly volumeId: string }

/**
 * Reads the `vol_data.json` that kubelet keeps beside the mount. It removes the file when it forgets the volume, and
 * writes it anew before each publish, in place: on a full disk, or where it is killed meanwhile, an empty file is left of
 * a volume that running containers use. So only a file that is not there means that nobody uses the volume.
 */
export async function kubeletsWord(targetPath: string): Promise<KubeletsWord> {
  try {
    const data: unknown = JSON.parse(await readFile(join(dirname(targetPath), 'vol_data.json'), 'utf8'))
    const { driverName, volumeHandle: volumeId } = data as Record<string, unknown>
    return typeof driverName === 'string' && typeof volumeId === 'string' ? { driverName, volumeId } : 'unreadable'
  } catch (error) {
    return errnoOf(error) === 'ENOENT' ? 'forgotten' : 'unreadable'
  }
}

/** Whether `word` speaks against this volume being the one that kubelet mounts there. */
export function contradicts(word: KubeletsWord, volumeId: string): boolean {
  return typeof word === 'object' && (word.driverName !== MOUNT_SOURCE || word.volumeId !== volumeId)
}
