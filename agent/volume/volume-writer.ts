import { IdentityError } from '../../core/runtime/errors.ts'
import type { Directory } from './directory.ts'
import { DATA, generationName, generationNumber, NEXT_DATA } from './internal-names.ts'
import { keyAccess, type Readers } from './readers.ts'
import { SECRET_FILES, type VolumeFile, visibleNames } from './volume-files.ts'
import { checkLinks, makeLinks } from './volume-links.ts'

/**
 * Replaces all files of a volume at once, as kubelet does for Secrets: a new generation in a folder of its own, one link
 * that is switched to it, and a link per file that leads through that one. The generation before stays until the next
 * switch, so a reader that opened the folder finds a key and a certificate that belong together (design §6).
 *
 * @param readers who may read what holds a key; the rest is everybody's who reaches the volume.
 * @throws {@link IdentityError} `volume_tampered` if anything is not as we left it.
 */
export async function writeGeneration(
  volume: Directory,
  files: readonly VolumeFile[],
  readers: Readers,
): Promise<void> {
  const before = await currentGeneration(volume)
  const old = (await volume.names()).flatMap((name) => generationNumber(name) ?? [])
  // What is newer than the one in force was never finished.
  for (const unfinished of old.filter((number) => number > (before ?? -1))) {
    await volume.removeChildWithFiles(generationName(unfinished))
  }
  const links = await checkLinks(volume, files)
  const next = (before ?? 0) + 1
  // Where another agent has just made this one, it fails here, and that one's is not ours to remove.
  const generation = await volume.makeChild(generationName(next))
  try {
    await fill(generation, files, readers)
    await volume.unlink(NEXT_DATA)
    await volume.link(NEXT_DATA, generationName(next))
    await volume.rename(NEXT_DATA, DATA)
  } catch (error) {
    await volume.removeChildWithFiles(generationName(next)).catch(() => {})
    throw error
  }
  await makeLinks(volume, links.missing)
  for (const name of links.stale) await volume.unlink(name)
  for (const obsolete of old.filter((number) => before !== undefined && number < before)) {
    await volume.removeChildWithFiles(generationName(obsolete))
  }
}

/** The number of the generation in force; `undefined` where nothing was ever written. */
export async function currentGeneration(volume: Directory): Promise<number | undefined> {
  const target = await volume.readLink(DATA)
  if (target === undefined) return undefined
  const number = generationNumber(target)
  if (number === undefined) throw new IdentityError('volume_tampered', `${DATA} leads elsewhere`)
  return number
}

/** Opens the generation in force. */
export async function openGeneration(volume: Directory): Promise<Directory | undefined> {
  const number = await currentGeneration(volume)
  return number === undefined ? undefined : volume.child(generationName(number))
}

/** Whether a generation was ever in force; true also where what is left of it is damaged. */
export async function wasFilled(volume: Directory): Promise<boolean> {
  return (await volume.entry(DATA)) !== undefined
}

/** Makes the links that are missing. An agent that was killed at the switch to a generation left it without some. */
export async function repairLinks(volume: Directory): Promise<void> {
  const generation = await openGeneration(volume)
  if (generation === undefined) return
  try {
    const there = new Set(await volume.names())
    const missing = visibleNames(await generation.names()).filter((name) => !there.has(name))
    await makeLinks(volume, missing)
  } finally {
    await generation.close()
  }
}

/** Hands what holds a key to other readers, in every generation that is there. */
export async function admitReaders(volume: Directory, readers: Readers): Promise<void> {
  for (const name of await volume.names()) {
    if (generationNumber(name) === undefined) continue
    const generation = await volume.child(name)
    try {
      for (const file of await generation.names()) {
        if (SECRET_FILES.includes(file)) await generation.grantFile(file, keyAccess(readers))
      }
    } finally {
      await generation.close()
    }
  }
}

/** Overwrites and removes every file, and every link of ours. What is not ours stays. */
export async function wipe(volume: Directory): Promise<void> {
  for (const name of await volume.names()) {
    if (generationNumber(name) !== undefined) await wipeGeneration(volume, name)
    else if ((await volume.entry(name))?.isSymbolicLink()) await volume.unlink(name)
  }
}

async function wipeGeneration(volume: Directory, name: string): Promise<void> {
  const generation = await volume.child(name)
  try {
    for (const file of await generation.names()) await generation.blank(file)
  } finally {
    await generation.close()
  }
  await volume.removeChildWithFiles(name)
}

async function fill(generation: Directory, files: readonly VolumeFile[], readers: Readers): Promise<void> {
  try {
    for (const { name, contents, secret } of files) {
      await generation.createFile(name, contents, secret ? keyAccess(readers) : { mode: 0o444 })
    }
    await generation.grant({ mode: 0o755 })
  } finally {
    await generation.close()
  }
}
