import { waitFor } from '../../cluster/base/wait.ts'
import type { Cluster } from '../../cluster/cluster.ts'
import type { Part } from '../../install/release.ts'

/** kubelet looks about every 10 seconds. */
const TIMEOUT_MS = 60_000

interface Summary {
  readonly pods: readonly {
    readonly podRef: { readonly namespace: string; readonly name: string }
    readonly memory?: { readonly time: string; readonly workingSetBytes?: number }
  }[]
}

/** The largest working set of a part's pods, in MiB, as kubelet tells it in its summary: measured after now. */
export async function podMemory(cluster: Cluster, { namespace, container }: Part): Promise<number> {
  const since = Date.now()
  return waitFor(
    `kubelet to measure ${container}`,
    async () => {
      const summaries = await Promise.all(
        cluster.nodes.map(({ name }) => cluster.api<Summary>('GET', `/api/v1/nodes/${name}/proxy/stats/summary`)),
      )
      const pods = summaries
        .flatMap((summary) => summary.pods)
        .filter(({ podRef }) => podRef.namespace === namespace && podRef.name.startsWith(`countersign-${container}`))
      const sets = pods.flatMap(({ memory }) =>
        memory && Date.parse(memory.time) > since ? [(memory.workingSetBytes ?? 0) / 2 ** 20] : [],
      )
      return pods.length > 0 && sets.length === pods.length && Math.max(...sets)
    },
    { timeout: TIMEOUT_MS, interval: 1000 },
  )
}
