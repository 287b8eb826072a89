import { constants } from 'node:fs'
import { mkdir, open, readdir, readFile, rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { PodRef } from '../workloads/workload.ts'

/** What an agent that comes back must know of a volume and cannot see in it. No secret is among it (design §7). */
export interface VolumeRecord {
  readonly volumeId: string
  readonly targetPath: string
  readonly pod: PodRef
  /** The pod's fsGroup. */
  readonly gid?: number | undefined
}

const schema = z.strictObject({
  version: z.literal(1),
  volumeId: z.string(),
  targetPath: z.string(),
  pod: z.strictObject({
    podUid: z.string(),
    podName: z.string(),
    namespace: z.string(),
    serviceAccount: z.string(),
  }),
  gid: z.int().optional(),
})

const SUFFIX = '.json'
const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW

/** A file per volume in the agent's own folder, `<volume ID>.json`, each replaced as a whole. */
export class VolumeRecords {
  readonly #directory: string

  private constructor(directory: string) {
    this.#directory = directory
  }

  static async open(directory: string): Promise<VolumeRecords> {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    return new VolumeRecords(directory)
  }

  async save(record: VolumeRecord): Promise<void> {
    const path = this.#pathOf(record.volumeId)
    const file = await open(`${path}.next`, CREATE, 0o600)
    try {
      await file.writeFile(`${JSON.stringify({ version: 1, ...record })}\n`)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(`${path}.next`, path)
  }

  async delete(volumeId: string): Promise<void> {
    await unlink(this.#pathOf(volumeId)).catch((error: unknown) => {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
    })
  }

  /** All that can be read; a record that cannot is as good as none, for kubelet's next publish says it all again. */
  async all(): Promise<VolumeRecord[]> {
    const names = (await readdir(this.#directory)).filter((name) => name.endsWith(SUFFIX))
    const records: VolumeRecord[] = []
    for (const name of names) {
      const record = parseRecord(await readFile(join(this.#directory, name), 'utf8'))
      if (record?.volumeId === name.slice(0, -SUFFIX.length)) records.push(record)
    }
    return records
  }

  #pathOf(volumeId: string): string {
    return join(this.#directory, volumeId + SUFFIX)
  }
}

function parseRecord(text: string): VolumeRecord | undefined {
  try {
    const { version: _, ...record } = schema.parse(JSON.parse(text))
    return record
  } catch {
    return undefined
  }
}
