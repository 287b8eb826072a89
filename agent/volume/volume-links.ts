import { IdentityError } from '../../core/runtime/errors.ts'
import type { Directory } from './directory.ts'
import { DATA, isInternal } from './internal-names.ts'
import type { VolumeFile } from './volume-files.ts'

/** Which of the links that pods use are to be made, and which lead to files that are no more. */
export async function checkLinks(volume: Directory, files: readonly VolumeFile[]) {
  const wanted = new Set(files.filter(({ visible }) => visible).map(({ name }) => name))
  const found = new Set<string>()
  for (const name of await volume.names()) {
    const entry = isInternal(name) ? undefined : await volume.entry(name)
    const ours = entry?.isSymbolicLink() === true && (await volume.readLink(name)) === linkTo(name)
    if (ours) found.add(name)
    else if (wanted.has(name)) throw new IdentityError('volume_tampered', `${name} is not the link that we made`)
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

function linkTo(name: string): string {
  return `${DATA}/${name}`
}
