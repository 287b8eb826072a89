import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Cluster } from '../cluster/cluster.ts'
import { spawnPlaced } from '../cluster/machine/processes.ts'
import { scrape, type Scrape } from './metrics.ts'
import { Program } from './program.ts'

export const REPOSITORY = resolve(import.meta.dirname, '..', '..')
const MAIN = join(REPOSITORY, 'broker', 'main.ts')

export interface BrokerOptions {
  readonly trustDomain: string
  /** For ledger, wrapping key and bundle. */
  readonly directory: string
  /** Where the ledger is. Default: in `directory`. */
  readonly ledgerDirectory?: string | undefined
  readonly templates: readonly object[]
  /** Sections `issuance` and `authority` of the broker's configuration. */
  readonly issuance: object
  readonly authority: object
  /** Other sections, which replace those that are made here. */
  readonly config?: object | undefined
}

/** The broker as a process of this machine; once it has been started it keeps its ports. */
export class BrokerProcess {
  /** PEM. */
  readonly bundleFile: string
  /** The same as a SPIFFE bundle document. */
  readonly bundleDocument: string
  readonly #cluster: Cluster
  readonly #options: BrokerOptions
  readonly #ports = { node: 0, admin: 0, operations: 0 }
  #program: Program | undefined

  constructor(cluster: Cluster, options: BrokerOptions) {
    this.#cluster = cluster
    this.#options = options
    this.bundleFile = join(options.directory, 'bundle.pem')
    this.bundleDocument = join(options.directory, 'bundle.json')
  }

  get address(): string {
    return `${this.#cluster.hostIp}:${this.#ports.node}`
  }

  /** Where operators ask. */
  get adminAddress(): string {
    return `${this.#cluster.hostIp}:${this.#ports.admin}`
  }

  get program(): Program {
    if (!this.#program) throw new Error('the broker was not started')
    return this.#program
  }

  /** Starts it, and returns once it serves. */
  async start(): Promise<void> {
    await this.startWithoutWaiting()
    const { address, adminPort, operationsPort } = await this.program.until(({ msg }) => msg === 'started')
    this.#ports.node = Number(String(address).split(':').at(-1))
    this.#ports.admin = Number(adminPort)
    this.#ports.operations = Number(operationsPort)
  }

  async startWithoutWaiting(): Promise<void> {
    const config = await this.#configure()
    const child = spawnPlaced(process.execPath, [MAIN, '--config', config], { cwd: REPOSITORY }, [
      'ignore',
      'pipe',
      'pipe',
    ])
    this.#program = new Program('broker', child, join(this.#cluster.logDir, 'broker.log'))
  }

  /** SIGKILL, as in a crash. */
  async kill(): Promise<void> {
    await this.#program?.kill()
  }

  async stop(): Promise<void> {
    await this.#program?.stop()
  }

  async metrics(): Promise<Scrape> {
    return scrape(this.#ports.operations)
  }

  async #configure(): Promise<string> {
    const {
      trustDomain,
      directory,
      ledgerDirectory = directory,
      issuance,
      authority,
      templates,
      config,
    } = this.#options
    const templateDirectory = join(directory, 'templates')
    const wrappingKeyFile = join(directory, 'wrapping.key')
    await mkdir(templateDirectory, { recursive: true })
    for (const [index, template] of templates.entries()) {
      await writeFile(join(templateDirectory, `${index}.yaml`), JSON.stringify(template))
    }
    await writeFile(wrappingKeyFile, randomBytes(32).toString('base64'), { mode: 0o600, flag: 'wx' }).catch(ifThere)
    const document = {
      trustDomain,
      listen: `${this.#cluster.hostIp}:${this.#ports.node}`,
      admin: { listen: `${this.#cluster.hostIp}:${this.#ports.admin}` },
      operations: { listen: `127.0.0.1:${this.#ports.operations}` },
      kubernetes: { kubeconfig: this.#cluster.adminKubeconfig },
      templates: { directory: templateDirectory },
      issuance,
      authority: { wrappingKeyFile, ...authority },
      ledger: { file: join(ledgerDirectory, 'ledger.sqlite') },
      bundle: { files: [this.bundleFile, this.bundleDocument] },
      ...config,
    }
    const file = join(directory, 'broker.yaml')
    await writeFile(file, JSON.stringify(document, null, 2))
    return file
  }
}

function ifThere(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error
}
