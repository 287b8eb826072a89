import type { Cluster } from '../cluster/cluster.ts'
import { CSI_DRIVER } from './agent-process.ts'
import { installingProcesses } from './installation-folder.ts'
import { objectsOfOthers } from './installation-objects.ts'

/**
 * A second installation would take kubelet's calls away from the first, and as it ends leave the node with neither: so
 * whoever has it asks for this before anything is changed.
 *
 * @throws if Countersign is installed by manifests or chart, or by a process that still runs. What a process left that
 *   has ended is no installation.
 */
export async function refuseIfInstalled(cluster: Cluster): Promise<void> {
  const [others, processes] = await Promise.all([objectsOfOthers(cluster), installingProcesses()])
  const refusal = refusalOf(
    others,
    processes.map(({ pid }) => pid),
  )
  if (refusal !== undefined) throw new Error(refusal)
}

/** What to say of objects that others made, and of processes that have an installation. */
export function refusalOf(others: readonly string[], pids: readonly number[]): string | undefined {
  const already = 'Countersign is installed in this cluster already'
  const another = 'or take another cluster (npm run cluster -- down, npm run cluster -- up)'
  if (others.length > 0) {
    return `${already} (${others.join(', ')}): uninstall it first (docs/operations.md, Uninstall), ${another}`
  }
  if (pids.length === 0) return undefined
  const by = `CSIDriver ${CSI_DRIVER}, of process ${pids.join(', ')}`
  return `${already} (${by}): uninstall it first (npm run cluster:uninstall, or end that process), ${another}`
}
