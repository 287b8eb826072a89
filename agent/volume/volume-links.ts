import type { Stats } from 'node:fs'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { Directory } from './directory.ts'
import { DATA, isInternal } from './internal-names.ts'
import { removeEntry } from './remove-entry.ts'
import type { VolumeFile } from './volume-files.ts'

/** What is done with what bears the name of a link of ours and is none. */
export type Foreign = 'removed' | 'refused'

/** Which of the links that pods use are to be made, and which lead to files that are no more. */
export async function checkLinks(volume: Directory, files: readonly VolumeFile[], foreign: Foreign) {
  const wanted = new Set(files.filter(({ visible }) => visible).map(({ name }) => name))
  const found = new Set<string>()
  for (const name of await volume.names()) {
    const entry = isInternal(name) ? undefined : await volume.entry(name)
    if (entry && (await isOurLink(volume, name, entry))) found.add(name)
    else if (wanted.has(name)) await clear(volume, name, foreign)
  }
  return {
    missing: [...wanted].filter((name) => !found.has(name)),
    stale: [...found].filter((name) => !wanted.has(name)),
  }
}

/** Makes the links of these names, in their order. */
export async function makeLinks(volume: Directory, names: readonly string[]): Promise<void> {
  for (const name of names) await volume.link(name, linkTo(name))
}

export async function isOurLink(volume: Directory, name: string, entry: Stats): Promise<boolean> {
  return entry.isSymbolicLink() && (await volume.readLink(name)) === linkTo(name)
}

async function clear(volume: Directory, name: string, foreign: Foreign): Promise<void> {
  if (foreign === 'removed') return removeEntry(volume, name)
  throw new IdentityError('volume_tampered', `${name} is not the link that we made`)
}

function linkTo(name: string): string {
  return `${DATA}/${name}`
}
