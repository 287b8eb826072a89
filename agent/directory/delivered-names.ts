import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'

const schema = z.strictObject({ version: z.literal(1), names: z.array(z.string()) })

/**
 * The names of the workloads that were given a folder, in a file: an agent that comes back finds by it what is declared
 * no more. The folder with the identities tells nothing, for others may keep theirs in it.
 */
export class DeliveredNames {
  readonly #file: string
  #names = new Set<string>()
  #turn: Promise<void> = Promise.resolve()

  constructor(file: string) {
    this.#file = file
  }

  /** Those of the agent before; none if there is no such file. */
  async read(): Promise<readonly string[]> {
    try {
      this.#names = new Set(schema.parse(JSON.parse(await readFile(this.#file, 'utf8'))).names)
    } catch {
      this.#names = new Set()
    }
    return [...this.#names]
  }

  add(name: string): Promise<void> {
    if (this.#names.has(name)) return Promise.resolve()
    this.#names.add(name)
    return this.#save()
  }

  delete(name: string): Promise<void> {
    return this.#names.delete(name) ? this.#save() : Promise.resolve()
  }

  #save(): Promise<void> {
    const saved = this.#turn.then(async () => {
      await mkdir(dirname(this.#file), { recursive: true, mode: 0o700 })
      await writeFile(`${this.#file}.new`, JSON.stringify({ version: 1, names: [...this.#names] }), { mode: 0o600 })
      await rename(`${this.#file}.new`, this.#file)
    })
    this.#turn = saved.catch(() => {})
    return saved
  }
}
