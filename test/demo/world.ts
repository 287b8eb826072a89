import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { stringify } from 'yaml'

export const TRUST_DOMAIN = 'demo.example'
export const AUDIENCE = `countersign.dev/${TRUST_DOMAIN}`

/** A workload of the demonstration and where it runs. */
export interface DemoPod {
  readonly name: string
  readonly namespace: string
  readonly node: string
}

export const PODS: readonly DemoPod[] = [
  { name: 'cart', namespace: 'shop', node: 'node-a' },
  { name: 'checkout', namespace: 'shop', node: 'node-b' },
  { name: 'invoices', namespace: 'billing', node: 'node-b' },
]

export const AGENTS: readonly DemoPod[] = ['node-a', 'node-b'].map((node) => ({
  name: `agent-${node}`,
  namespace: 'countersign-agent',
  node,
}))

/** By default an identity is named after namespace and ServiceAccount. */
export const idOf = ({ name, namespace }: DemoPod) => `spiffe://${TRUST_DOMAIN}/ns/${namespace}/sa/${name}`

const TMPFS_MAGIC = 0x01021994

/** The folders of a demonstration: keys on a tmpfs where there is one, the ledger on a disk. */
export class World {
  readonly root = mkdtempSync(join(tmpdir(), 'countersign-demo-'))
  /** Private keys go here. */
  readonly volumes: string
  /** No tmpfs that we may write to: keys would lie on a disk, which has to be allowed by name. */
  readonly keysOnDisk: boolean

  constructor() {
    const shm = sharedMemory()
    this.keysOnDisk = shm === undefined
    this.volumes = mkdtempSync(join(shm ?? this.root, 'countersign-demo-'))
    for (const folder of ['tokens', 'broker', 'templates', 'logs']) mkdirSync(this.path(folder), { mode: 0o700 })
  }

  path(...parts: string[]): string {
    return join(this.root, ...parts)
  }

  tokenFile({ name }: DemoPod): string {
    return this.path('tokens', `${name}.jwt`)
  }

  volume({ node, name }: DemoPod): string {
    return join(this.volumes, node, name)
  }

  /** Declares a workload to the agent of `node`. */
  declare(node: string, name: string, tokenFile: string): void {
    const directory = this.path(node, 'workloads')
    mkdirSync(directory, { recursive: true })
    writeFileSync(join(directory, `${name}.yaml`), stringify({ name, tokenFile }))
  }

  write(name: string, document: object): string {
    const file = this.path(name)
    writeFileSync(file, stringify(document))
    return file
  }

  read(name: string): string {
    return readFileSync(this.path(name), 'utf8')
  }

  /** Removes all of it but the folders named in `kept`. */
  remove(kept: readonly string[] = []): void {
    const folders = kept.length === 0 ? [this.root] : readdirSync(this.root).filter((name) => !kept.includes(name))
    for (const folder of [this.volumes, ...folders]) {
      rmSync(resolve(this.root, folder), { recursive: true, force: true })
    }
  }
}

function sharedMemory(): string | undefined {
  try {
    return statfsSync('/dev/shm').type === TMPFS_MAGIC ? '/dev/shm' : undefined
  } catch {
    return undefined
  }
}
