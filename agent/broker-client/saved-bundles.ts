import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { decodeBundleDocument, encodeBundleDocument } from '../../core/spiffe/bundle-document.ts'
import type { X509Bundle } from '../../core/spiffe/bundle.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import type { Bundles } from '../workloads/workload.ts'

const FILE = 'bundles.json'
/** SPIFFE bundle documents as texts, by trust domain: their sequence numbers outgrow what JSON.parse keeps. */
const schema = z.strictObject({ version: z.literal(1), bundles: z.record(z.string(), z.string()) })

/** The bundles that were enforced last: what an agent begins with after a restart, with or without a broker. */
export class SavedBundles {
  readonly #directory: string
  readonly #trustDomain: TrustDomain

  constructor(directory: string, trustDomain: TrustDomain) {
    this.#directory = directory
    this.#trustDomain = trustDomain
  }

  /** `undefined` if there are none, or none that can be read: then the bootstrap file counts. */
  async read(): Promise<Bundles | undefined> {
    try {
      const { bundles } = schema.parse(JSON.parse(await readFile(join(this.#directory, FILE), 'utf8')))
      const all = Object.entries(bundles).map(([name, text]) => decode(name, text))
      const own = all.find(({ trustDomain }) => trustDomain.equals(this.#trustDomain))
      if (!own || own.authorities.length === 0) return undefined
      return { own, federated: all.filter((bundle) => bundle !== own) }
    } catch {
      return undefined
    }
  }

  /** Replaces what was saved, whole or not at all. */
  async write({ own, federated }: Bundles): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 })
    const bundles = Object.fromEntries(
      [own, ...federated].map((bundle) => [bundle.trustDomain.toString(), encode(bundle)]),
    )
    const temporary = join(this.#directory, `.${FILE}.new`)
    const file = await open(temporary, 'w', 0o600)
    try {
      await file.writeFile(JSON.stringify({ version: 1, bundles }))
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, join(this.#directory, FILE))
  }

  /** Where they are saved. */
  get file(): string {
    return join(this.#directory, FILE)
  }
}

const decode = (name: string, text: string): X509Bundle => decodeBundleDocument(TrustDomain.parse(name), text).x509
const encode = (x509: X509Bundle): string => encodeBundleDocument({ x509, jwtAuthorities: [] })
