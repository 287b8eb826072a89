import { findCluster } from './attach.ts'
import { elapsed, type Log } from './base/log.ts'
import type { Cluster } from './cluster.ts'
import { keepLogs } from './logs.ts'
import { whileOnTurn } from './machine/lock.ts'
import { startCluster } from './start.ts'

/** Runs `action` on the cluster that is up; if none is, on one that is started for it and stopped after it. */
export async function withCluster<T>(
  log: Log,
  signal: AbortSignal,
  action: (cluster: Cluster) => Promise<T>,
): Promise<T> {
  return whileOnTurn(log, signal, async () => {
    const running = await findCluster('detached')
    if (running) {
      log('a test cluster is up: using it, and leaving it up')
      return action(running)
    }
    const cluster = await startCluster({ log, signal, onTurn: true })
    try {
      return await action(cluster)
    } catch (error) {
      log(`the components' logs are kept in ${(await keepLogs()) ?? 'no folder'}`)
      throw error
    } finally {
      const start = performance.now()
      await cluster.stop()
      log(`the cluster is down (${elapsed(start)})`)
    }
  })
}
