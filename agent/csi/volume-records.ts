import { constants } from 'node:fs'
import { mkdir, open, readdir, readFile, rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { errnoOf } from '../volume/errno.ts'
import type { PodRef } from '../workloads/workload.ts'

/** What an agent that comes back must know of a volume and cannot see in it. No secret is among it (design §7). */
export interface VolumeRecord {
  readonly volumeId: string
  readonly targetPath: string
  readonly pod: PodRef
  /** The pod's fsGroup. */
  readonly gid?: number | undefined
}

/** A field that is unknown here is a newer agent's: one that was rolled back must still find its volumes (design §6). */
const schema = z.object({
  version: z.literal(1),
  volumeId: z.string(),
  targetPath: z.string(),
  pod: z.object({
    podUid: z.string(),
    podName: z.string(),
    namespace: z.string(),
    serviceAccount: z.string(),
  }),
  gid: z.int().optional(),
})

const SUFFIX = '.json'
/** Of a record that is being saved. */
const NEXT = '.next'
const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW

/** Told of a file that stays as it is, for nobody can read or remove it. */
type Unreadable = (name: string, error: unknown) => void

/** A file per volume in the agent's own folder, `<volume ID>.json`, each replaced as a whole. */
export class VolumeRecords {
  readonly #directory: string
  readonly #unreadable: Unreadable

  private constructor(directory: string, unreadable: Unreadable) {
    this.#directory = directory
    this.#unreadable = unreadable
  }

  static async open(directory: string, unreadable: Unreadable = () => {}): Promise<VolumeRecords> {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    const records = new VolumeRecords(directory, unreadable)
    await records.#removeHalfSaved()
    return records
  }

  async save(record: VolumeRecord): Promise<void> {
    const path = this.#pathOf(record.volumeId)
    try {
      await writeSynced(path + NEXT, `${JSON.stringify({ version: 1, ...record })}\n`)
      await rename(path + NEXT, path)
    } catch (error) {
      await unlink(path + NEXT).catch(() => {})
      throw error
    }
  }

  async delete(volumeId: string): Promise<void> {
    await unlink(this.#pathOf(volumeId)).catch((error: unknown) => {
      if (errnoOf(error) !== 'ENOENT') throw error
    })
  }

  /** All that can be read; a record that cannot is as good as none, for kubelet's next publish says it all again. */
  async all(): Promise<VolumeRecord[]> {
    const records: VolumeRecord[] = []
    for (const name of await this.#names(SUFFIX)) {
      try {
        const record = parseRecord(await readFile(join(this.#directory, name), 'utf8'))
        if (record.volumeId + SUFFIX !== name) throw new TypeError('the record is of another volume')
        records.push(record)
      } catch (error) {
        this.#unreadable(name, error)
      }
    }
    return records
  }

  async #removeHalfSaved(): Promise<void> {
    for (const name of await this.#names(SUFFIX + NEXT)) {
      await unlink(join(this.#directory, name)).catch((error: unknown) => this.#unreadable(name, error))
    }
  }

  async #names(ending: string): Promise<string[]> {
    return (await readdir(this.#directory)).filter((name) => name.endsWith(ending))
  }

  #pathOf(volumeId: string): string {
    return join(this.#directory, volumeId + SUFFIX)
  }
}

async function writeSynced(path: string, text: string): Promise<void> {
  const file = await open(path, CREATE, 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

function parseRecord(text: string): VolumeRecord {
  const { version: _, ...record } = schema.parse(JSON.parse(text))
  return record
}
