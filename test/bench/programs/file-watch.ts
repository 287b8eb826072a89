import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { Holding } from './holding.ts'

/** Reads a volume as a careful workload does: the folder behind the symlink first, then the pair in it. */
export class FileWatch {
  readonly holding = new Holding()
  readonly #folder: string
  #last = ''

  constructor(folder: string) {
    this.#folder = folder
  }

  look(): void {
    try {
      const generation = realpathSync(join(this.#folder, '..data'))
      const certificate = readFileSync(join(generation, 'tls.crt'), 'latin1')
      const key = readFileSync(join(generation, 'tls.key'), 'latin1')
      const text = certificate + key
      if (text === this.#last) {
        this.holding.look()
        return
      }
      this.#last = text
      this.holding.received(new X509Certificate(certificate), createPrivateKey(key))
    } catch (error) {
      this.holding.broken((error as Error).message)
      this.#last = ''
      this.holding.look()
    }
  }
}
