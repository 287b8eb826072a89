import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type DemoProcess, start } from '../demo/process.ts'
import { MEASURED_CORE, pin } from './machine/cores.ts'
import { folderInMemory, folderOnDisk } from './machine/disk.ts'
import { type Commands, Remote } from './machine/remote.ts'

export const TRUST_DOMAIN = 'bench.example'
export const AUDIENCE = `countersign.dev/${TRUST_DOMAIN}`

const program = (name: string) => join(import.meta.dirname, 'programs', name)

/** Where one figure is measured: its folders and processes, which go with it. */
export class Stage {
  /** On a disk. */
  readonly root = folderOnDisk()
  /** In memory. */
  readonly memory = folderInMemory()
  readonly #stops: (() => Promise<unknown> | void)[] = []
  /** Written by V8 where they are asked for: `--cpu-prof`. */
  readonly profileInto: string | undefined

  constructor(profileInto: string | undefined) {
    this.profileInto = profileInto
  }

  path(...parts: string[]): string {
    return join(this.root, ...parts)
  }

  folder(...parts: string[]): string {
    const path = this.path(...parts)
    mkdirSync(path, { recursive: true, mode: 0o700 })
    return path
  }

  write(name: string, text: string): string {
    writeFileSync(this.path(name), text)
    return this.path(name)
  }

  /** Starts one of our own programs by the arguments of node. */
  run(
    name: string,
    args: readonly string[],
    core = MEASURED_CORE,
    environment: Readonly<Record<string, string>> = {},
  ): DemoProcess {
    const profiling =
      this.profileInto === undefined || name !== 'broker'
        ? []
        : ['--cpu-prof', '--cpu-prof-interval=500', `--cpu-prof-dir=${this.profileInto}`]
    const log = join(this.folder('logs'), `${name}.log`)
    const process = start(name, [...profiling, ...args], log, () => {}, environment)
    pin(process.pid, core)
    this.onStop(() => process.stop())
    return process
  }

  /** Starts a program of the benchmark. */
  remote<C extends Commands>(name: string, core: number, nodeArgs: readonly string[] = []): Remote<C> {
    const remote = new Remote<C>(program(name), { core, nodeArgs })
    this.onStop(() => remote.stop())
    return remote
  }

  onStop(stop: () => Promise<unknown> | void): void {
    this.#stops.push(stop)
  }

  /** Stops everything, the newest first, and removes the folders. */
  async clear(): Promise<void> {
    for (const stop of this.#stops.splice(0).reverse()) await stop()
    rmSync(this.root, { recursive: true, force: true })
    rmSync(this.memory, { recursive: true, force: true })
  }
}
