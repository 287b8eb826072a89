import { mkdir, open, readFile, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { IdentityError } from '../../core/runtime/errors.ts'
import { decodeBundleDocument, encodeBundleDocument } from '../../core/spiffe/bundle-document.ts'
import type { X509Bundle } from '../../core/spiffe/bundle.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import type { Bundles } from '../workloads/workload.ts'

const FILE = 'bundles.json'
const WRITABLE_BY_OTHERS = 0o022
/** SPIFFE bundle documents as texts, by trust domain: their sequence numbers outgrow what JSON.parse keeps. */
const schema = z.strictObject({ version: z.literal(1), bundles: z.record(z.string(), z.string()) })

/** The newest bundles that came from the broker: what an agent begins with after a restart, with or without a broker. */
export class SavedBundles {
  readonly #directory: string
  readonly #trustDomain: TrustDomain

  constructor(directory: string, trustDomain: TrustDomain) {
    this.#directory = directory
    this.#trustDomain = trustDomain
  }

  /**
   * `undefined` if there are none, or none that can be read: then the bootstrap file counts.
   *
   * @throws {@link IdentityError} `config_invalid` if others than the agent's user could have written them.
   */
  async read(): Promise<Bundles | undefined> {
    for (const path of [this.#directory, this.file]) await refuseOthers(path)
    try {
      const { bundles } = schema.parse(JSON.parse(await readFile(this.file, 'utf8')))
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
    await rename(temporary, this.file)
  }

  /**
   * Saves `bundles`, then has them enforced: an agent that dies halfway must not come back with less than its streams
   * have seen. A disk that is full keeps no withdrawal from anybody, but nothing resolves before they are saved.
   */
  async writeAround(bundles: Bundles, enforce: () => Promise<void>): Promise<void> {
    const isSaved = await this.write(bundles).then(
      () => true,
      () => false,
    )
    await enforce()
    if (!isSaved) await this.write(bundles)
  }

  /** Where they are saved. */
  get file(): string {
    return join(this.#directory, FILE)
  }
}

/** Who may write the bundle that an agent begins with decides whom it believes to be the broker. */
async function refuseOthers(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined)
  if (!found || (found.uid === process.geteuid?.() && (found.mode & WRITABLE_BY_OTHERS) === 0)) return
  throw new IdentityError(
    'config_invalid',
    `others may write ${path}; it must be the agent's own, at best of mode 0700`,
  )
}

const decode = (name: string, text: string): X509Bundle => decodeBundleDocument(TrustDomain.parse(name), text).x509
const encode = (x509: X509Bundle): string => encodeBundleDocument({ x509, jwtAuthorities: [] })
