import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'

const workload = z.strictObject({ name: z.string(), podUid: z.string().optional() })
const schema = z.union([
  z
    .strictObject({ version: z.literal(2), workloads: z.array(workload) })
    .transform(({ workloads }) => workloads.map(({ name, podUid }) => [name, podUid] as const)),
  // Of an agent that did not write down whose the files are.
  z
    .strictObject({ version: z.literal(1), names: z.array(z.string()) })
    .transform(({ names }) => names.map((name) => [name, undefined] as const)),
])

/**
 * The names of the workloads that were given a folder, and the pod that each one's files are of, in a file: an agent that
 * comes back finds by it what is declared no more, and what is another pod's than the one that bears the name now. The
 * folder with the identities tells neither, for others may keep theirs in it.
 */
export class DeliveredNames {
  readonly #file: string
  #pods = new Map<string, string | undefined>()
  #turn: Promise<void> = Promise.resolve()

  constructor(file: string) {
    this.#file = file
  }

  /** Those of the agent before; none if there is no such file. */
  async read(): Promise<readonly string[]> {
    try {
      this.#pods = new Map(schema.parse(JSON.parse(await readFile(this.#file, 'utf8'))))
    } catch {
      this.#pods = new Map()
    }
    return [...this.#pods.keys()]
  }

  /** The UID of the pod that the files were made for, where it is known. */
  podOf(name: string): string | undefined {
    return this.#pods.get(name)
  }

  async add(name: string, podUid: string): Promise<void> {
    const before = this.#pods.get(name)
    if (before === podUid) return
    const wasThere = this.#pods.has(name)
    this.#pods.set(name, podUid)
    try {
      await this.#save()
    } catch (error) {
      // Else the next to ask would hear that it is written down.
      if (wasThere) this.#pods.set(name, before)
      else this.#pods.delete(name)
      throw error
    }
  }

  delete(name: string): Promise<void> {
    return this.#pods.delete(name) ? this.#save() : Promise.resolve()
  }

  #save(): Promise<void> {
    const saved = this.#turn.then(async () => {
      const workloads = Array.from(this.#pods, ([name, podUid]) => ({ name, podUid }))
      await mkdir(dirname(this.#file), { recursive: true, mode: 0o700 })
      await writeFile(`${this.#file}.new`, JSON.stringify({ version: 2, workloads }), { mode: 0o600 })
      await rename(`${this.#file}.new`, this.#file)
    })
    this.#turn = saved.catch(() => {})
    return saved
  }
}
