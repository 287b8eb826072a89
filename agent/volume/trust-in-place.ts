import type { Directory } from './directory.ts'
import { generationName } from './internal-names.ts'
import { isTrustFile, type VolumeFile } from './volume-files.ts'
import { currentGeneration } from './volume-writer.ts'
import type { VolumePlace } from './volume-place.ts'

/**
 * Brings what the files in force trust up to date where they stand, for a volume in which no more files can be made. The
 * key and the certificate stay: who holds a file open that was replaced is not to read the next key by it.
 */
export async function renewTrustInPlace(
  volume: Directory,
  files: readonly VolumeFile[],
  place: Pick<VolumePlace, 'makeRoom'>,
): Promise<void> {
  const number = await currentGeneration(volume)
  if (number === undefined) return
  const generation = await volume.childOfSameMount(generationName(number))
  try {
    const there = new Set((await generation.names()).filter(isTrustFile))
    const trust = files.filter(({ name }) => there.delete(name))
    // Half a file would be worse than an old one.
    const sizes = trust.map(({ contents }) => contents.length)
    await place.makeRoom(volume, sizes)
    for (const { name, contents } of trust) await generation.overwrite(name, contents)
    for (const name of there) await generation.unlink(name)
  } finally {
    await generation.close()
  }
}
