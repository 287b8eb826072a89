import type { Stats } from 'node:fs'
import type { Directory } from './directory.ts'
import { DATA, generationNumber, NEXT_DATA } from './internal-names.ts'
import { NEXT_SOCKET, SOCKET } from './pod-socket.ts'
import { removeEntry } from './remove-entry.ts'
import { BUNDLE_SUFFIX, HINT_FILE } from './volume-files.ts'
import { isOurLink } from './volume-links.ts'

/**
 * Removes what the agent did not put into a volume that is its alone, for the sake of the room that it takes: each folder
 * that kubelet makes for a `subPath` of the pod's author costs an inode.
 *
 * @returns whether there was anything.
 */
export async function removeForeign(volume: Directory): Promise<boolean> {
  let found = false
  for (const name of await volume.names()) {
    const entry = await volume.entry(name)
    if (entry === undefined) continue
    if (generationNumber(name) !== undefined && entry.isDirectory()) {
      found = (await removeForeignIn(volume, name)) || found
    } else if (!(await isOurs(volume, name, entry))) {
      await removeEntry(volume, name)
      found = true
    }
  }
  return found
}

/** A generation without a file of ours is none. */
async function removeForeignIn(volume: Directory, generationName: string): Promise<boolean> {
  const generation = await volume.childOfSameMount(generationName)
  let [found, isFilled] = [false, false]
  try {
    for (const name of await generation.names()) {
      const entry = await generation.entry(name)
      if (entry === undefined) continue
      if (isOurFile(name, entry)) isFilled = true
      else {
        await removeEntry(generation, name)
        found = true
      }
    }
  } finally {
    await generation.close()
  }
  if (!isFilled) await removeEntry(volume, generationName)
  return found || !isFilled
}

async function isOurs(volume: Directory, name: string, entry: Stats): Promise<boolean> {
  if (name === SOCKET || name === NEXT_SOCKET) return entry.isSocket()
  if (name === DATA || name === NEXT_DATA) return entry.isSymbolicLink()
  return isOurLink(volume, name, entry)
}

/** Of our files the hint may be empty, and a bundle without authorities is; what others have made to mount on is, too. */
function isOurFile(name: string, entry: Stats): boolean {
  return entry.isFile() && (entry.size > 0 || name === HINT_FILE || name.endsWith(BUNDLE_SUFFIX))
}
