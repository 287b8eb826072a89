import { IdentityError } from '../../core/runtime/errors.ts'
import type { Directory } from './directory.ts'
import { DATA, generationName, generationNumber, NEXT_DATA } from './internal-names.ts'
import { keyAccess, type Readers } from './readers.ts'
import { removeEntry } from './remove-entry.ts'
import { SECRET_FILES, type VolumeFile, visibleNames } from './volume-files.ts'
import { checkLinks, type Foreign, makeLinks } from './volume-links.ts'

/**
 * Replaces all files of a volume at once, as kubelet does for Secrets: a new generation in a folder of its own, one link
 * that is switched to it, and a link per file that leads through that one. The generation before stays until the next
 * switch, so a reader that opened the folder finds a key and a certificate that belong together (design §6).
 *
 * What others have put in the way is removed: kubelet makes a folder of any name for a `subPath` that does not exist, and
 * so at the word of the pod's author, who must not hold up what a node has to enforce.
 *
 * @param readers who may read what holds a key; the rest is everybody's who reaches the volume.
 * @param foreign what becomes of what bears the name of a file of ours; the agent's own names are always cleared.
 * @throws {@link IdentityError} `volume_tampered` if something in the way cannot be removed, or may not.
 */
export async function writeGeneration(
  volume: Directory,
  files: readonly VolumeFile[],
  readers: Readers,
  foreign: Foreign,
): Promise<void> {
  const before = await clearedGeneration(volume)
  const [previous] = (await generations(volume)).filter((number) => before !== undefined && number < before)
  // What is newer than the one in force was never finished. Nothing is switched before it is gone: so nothing piles up.
  await removeGenerations(volume, (number) => number !== before && number !== previous)
  const links = await checkLinks(volume, files, foreign)
  const next = (before ?? 0) + 1
  // Where another agent has just made this one, it fails here, and that one's is not ours to remove.
  const generation = await volume.makeChild(generationName(next))
  try {
    await fill(generation, files, readers)
    await removeEntry(volume, NEXT_DATA)
    await volume.link(NEXT_DATA, generationName(next))
    await volume.rename(NEXT_DATA, DATA)
  } catch (error) {
    await removeEntry(volume, generationName(next)).catch(() => {})
    throw error
  }
  try {
    await makeLinks(volume, links.missing)
    for (const name of links.stale) await volume.unlink(name)
  } finally {
    // The files are in force by now: what cannot be removed is refused before the next switch, not after this one.
    await removeGenerations(volume, (number) => before !== undefined && number < before).catch(() => {})
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
    const missing = visibleNames(await fileNames(generation)).filter((name) => !there.has(name))
    await makeLinks(volume, missing)
  } finally {
    await generation.close()
  }
}

/**
 * Leaves what holds a key to its owner alone, in every generation that is there, whatever else fails.
 *
 * @throws the first failure, at the end.
 */
export async function shutKeys(volume: Directory): Promise<void> {
  const generations = (await volume.names()).filter((name) => generationNumber(name) !== undefined)
  await eachInSpite(generations.map((name) => () => shutKeysOf(volume, name)))
}

async function shutKeysOf(volume: Directory, name: string): Promise<void> {
  const generation = await volume.childOfSameMount(name)
  try {
    const secrets = (await generation.names()).filter((file) => SECRET_FILES.includes(file))
    await eachInSpite(secrets.map((file) => () => generation.grantFile(file, keyAccess('owner'))))
  } finally {
    await generation.close()
  }
}

/**
 * Overwrites every file, then removes all of them and every link. What else is not ours stays. Goes on in spite of
 * failures: no key stays because of an entry before it.
 *
 * @throws the first failure, at the end.
 */
export async function wipe(volume: Directory): Promise<void> {
  const names = await volume.names()
  const folders = names.filter((name) => generationNumber(name) !== undefined)
  await eachInSpite([
    ...folders.map((name) => () => blankFiles(volume, name)),
    ...folders.map((name) => () => removeEntry(volume, name)),
    ...names.map((name) => () => removeLink(volume, name)),
  ])
}

async function blankFiles(volume: Directory, name: string): Promise<void> {
  if (!(await volume.entry(name))?.isDirectory()) return
  const generation = await volume.childOfSameMount(name)
  try {
    const files = await fileNames(generation)
    await eachInSpite(files.map((file) => () => generation.blank(file)))
  } finally {
    await generation.close()
  }
}

async function removeLink(volume: Directory, name: string): Promise<void> {
  if ((await volume.entry(name))?.isSymbolicLink()) await volume.unlink(name)
}

/** The number of the generation in force, once nothing else bears the name of the link that is switched. */
async function clearedGeneration(volume: Directory): Promise<number | undefined> {
  if ((await volume.entry(DATA))?.isSymbolicLink() === false) await removeEntry(volume, DATA)
  return generationNumber((await volume.readLink(DATA)) ?? '')
}

/** The numbers of all generations, the newest first. */
async function generations(volume: Directory): Promise<number[]> {
  const numbers = (await volume.names()).flatMap((name) => generationNumber(name) ?? [])
  return numbers.toSorted((one, other) => other - one)
}

async function removeGenerations(volume: Directory, isDoomed: (number: number) => boolean): Promise<void> {
  const doomed = (await generations(volume)).filter(isDoomed)
  await eachInSpite(doomed.map((number) => () => removeEntry(volume, generationName(number))))
}

async function eachInSpite(tasks: readonly (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = []
  for (const task of tasks) await task().catch((error: unknown) => failures.push(error))
  if (failures.length > 0) throw failures[0]
}

/** What is in a generation beside its files, others have put there. */
async function fileNames(generation: Directory): Promise<string[]> {
  const names: string[] = []
  for (const name of await generation.names()) if ((await generation.entry(name))?.isFile()) names.push(name)
  return names
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
