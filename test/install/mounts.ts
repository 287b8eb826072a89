import { readFile } from 'node:fs/promises'
import type { Cluster } from '../cluster/cluster.ts'
import { CSI_DRIVER } from '../cluster-suites/agent-process.ts'

/** A volume of ours that is mounted on a node: which mount of the kernel it is, by where it is. */
export type Mounts = ReadonlyMap<string, string>

/** The volumes of all nodes. Fails where one is mounted over another. */
export async function mountsOf(cluster: Cluster): Promise<Mounts> {
  const found = new Map<string, string>()
  for (const node of cluster.nodes) {
    const lines = (await readFile(`/proc/${node.placement.mountOf}/mountinfo`, 'utf8')).split('\n')
    for (const line of lines.filter((text) => text.includes(` - tmpfs ${CSI_DRIVER} `))) {
      const [id = '', , device = '', , path = ''] = line.split(' ')
      const where = `${node.name}:${path}`
      if (found.has(where)) throw new Error(`stacked: ${where}`)
      found.set(where, `${id} ${device}`)
    }
  }
  return found
}

/** Fails unless these pods' volumes are the very mounts that they were. */
export function expectKept(before: Mounts, after: Mounts, podUids: readonly string[]): void {
  const own = [...before].filter(([where]) => podUids.some((uid) => where.includes(uid)))
  if (own.length !== podUids.length) throw new Error(`${podUids.length} pods have ${own.length} mounts`)
  const changed = own.filter(([where, mount]) => after.get(where) !== mount).map(([where]) => where)
  if (changed.length > 0) throw new Error(`dropped or mounted anew: ${changed.join(', ')}`)
}
