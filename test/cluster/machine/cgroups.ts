import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CGROUP, NODES } from '../layout.ts'
import { waitFor } from '../base/wait.ts'

const ROOT = '/sys/fs/cgroup'

/** True where one hierarchy carries all controllers (cgroup v2). */
export const isUnified = (): boolean => existsSync(join(ROOT, 'cgroup.controllers'))

/** The folders of the cluster's cgroup: one on cgroup v2, one in each hierarchy on v1. */
async function clusterCgroups(): Promise<string[]> {
  if (isUnified()) return [join(ROOT, CGROUP)]
  const hierarchies = await readdir(ROOT, { withFileTypes: true })
  // Links such as cpu → cpu,cpuacct name a hierarchy that is listed anyway.
  return hierarchies.filter((entry) => entry.isDirectory()).map((entry) => join(ROOT, entry.name, CGROUP))
}

/** Where processes of the cluster that are not in a pod are put. */
export function processCgroup(): string {
  // v1: one hierarchy suffices to find them again. v2: inner cgroups hold no processes, hence a leaf.
  return isUnified() ? join(ROOT, CGROUP, 'processes') : join(ROOT, 'pids', CGROUP)
}

export async function createCgroups(): Promise<void> {
  const cgroups = await clusterCgroups()
  for (const cgroup of cgroups) {
    for (const dir of [cgroup, ...NODES.map((node) => join(cgroup, node.name))]) await createCgroup(dir)
  }
  await mkdir(processCgroup(), { recursive: true })
}

async function createCgroup(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true })
  if (isUnified()) {
    await delegate(join(dir, '..'))
    await delegate(dir)
    return
  }
  // A new cpuset of v1 is empty, and no process can enter it before it is filled in.
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    if (existsSync(join(dir, file))) await writeFile(join(dir, file), await readFile(join(dir, '..', file), 'utf8'))
  }
}

async function delegate(dir: string): Promise<void> {
  const controllers = (await readFile(join(dir, 'cgroup.controllers'), 'utf8')).trim().split(/\s+/)
  await writeFile(join(dir, 'cgroup.subtree_control'), controllers.map((name) => `+${name}`).join(' '))
}

/** Every process in the cluster's cgroup or below, containers included. */
export async function clusterProcesses(): Promise<number[]> {
  const found = new Set<number>()
  for (const cgroup of await clusterCgroups()) {
    for (const dir of await tree(cgroup)) {
      const pids = await readFile(join(dir, 'cgroup.procs'), 'utf8').catch(() => '')
      for (const pid of pids.split('\n').filter(Boolean)) found.add(Number(pid))
    }
  }
  found.delete(process.pid)
  return [...found]
}

/** Removes the cluster's cgroups; they must be empty. */
export async function removeCgroups(): Promise<void> {
  for (const cgroup of await clusterCgroups()) {
    await waitFor(
      `cgroup ${cgroup} to be removed`,
      async () => {
        for (const dir of (await tree(cgroup)).toReversed()) await rmdir(dir)
        return true
      },
      { timeout: 15_000, interval: 50 },
    )
  }
}

/** The cgroups that are there, of which `down` leaves none. */
export async function listClusterCgroups(): Promise<string[]> {
  return (await clusterCgroups()).filter((dir) => existsSync(dir))
}

/** `dir` and all below, parents first. */
async function tree(dir: string): Promise<string[]> {
  if (!existsSync(dir)) return []
  const entries = await readdir(dir, { withFileTypes: true }).catch(() => [])
  const below = await Promise.all(entries.filter((e) => e.isDirectory()).map((e) => tree(join(dir, e.name))))
  return [dir, ...below.flat()]
}
