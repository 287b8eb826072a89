import { IdentityError } from '../../core/runtime/errors.ts'
import type { Directory } from './directory.ts'
import { errnoOf } from './errno.ts'

/** More than a tmpfs of ours has inodes for. */
const MAX_ENTRIES = 16_384

/** What the kernel says of a mount in the way, and of what not even its owner may remove. */
const STUCK = new Set(['EBUSY', 'EXDEV', 'EPERM', 'EACCES'])

/**
 * Removes whatever bears `name`, with all that is in it; nothing if there is nothing. Others may have made it: no link is
 * followed, no mount is entered, and two descriptors are enough for any depth.
 *
 * @throws {@link IdentityError} `volume_tampered` for what cannot be removed.
 */
export async function removeEntry(parent: Directory, name: string): Promise<void> {
  try {
    if (!(await isFolder(parent, name))) return await parent.unlink(name)
    const doomed = await parent.childOfSameMount(name)
    try {
      await empty(doomed)
    } finally {
      await doomed.close()
    }
    await parent.removeChild(name)
  } catch (error) {
    if (!STUCK.has(errnoOf(error) ?? '')) throw error
    throw new IdentityError('volume_tampered', `${name} cannot be removed`, { cause: error })
  }
}

async function empty(doomed: Directory): Promise<void> {
  let left = MAX_ENTRIES
  let before = new Set<string>()
  for (let names = await doomed.names(); names.length > 0; names = await doomed.names()) {
    left -= names.length
    if (left < 0) throw new IdentityError('volume_tampered', 'a folder holds more than can be removed')
    const taken = new Set(names)
    // Else it would be tried for as long as there is somebody who wants it removed.
    if (before.size > 0 && [...before].every((name) => taken.has(name)))
      throw new IdentityError('volume_tampered', 'a folder does not empty')
    before = new Set(names)
    for (const name of names) {
      if (await isFolder(doomed, name)) await dissolve(doomed, name, taken)
      else await doomed.unlink(name)
    }
  }
}

/** Removes a folder; the folders in it come to stand beside it, so that however deep they are nested none is descended. */
async function dissolve(parent: Directory, name: string, taken: Set<string>): Promise<void> {
  const folder = await parent.childOfSameMount(name)
  try {
    for (const entry of await folder.names()) {
      if (await isFolder(folder, entry)) await folder.move(entry, parent, freeName(taken))
      else await folder.unlink(entry)
    }
  } finally {
    await folder.close()
  }
  await parent.removeChild(name)
}

function freeName(taken: Set<string>): string {
  let number = taken.size
  while (taken.has(`${number}`)) number += 1
  taken.add(`${number}`)
  return `${number}`
}

async function isFolder(parent: Directory, name: string): Promise<boolean> {
  return (await parent.entry(name))?.isDirectory() === true
}
