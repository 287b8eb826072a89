import { findCluster } from './attach.ts'
import { logToStderr as log } from './base/log.ts'
import { startCluster } from './start.ts'

/**
 * Run by vitest around all `*.cluster.test.ts` files: one cluster serves them all. A cluster that is up already, by
 * hand or by the runner, is used and left up.
 */
export async function setup(): Promise<(() => Promise<void>) | undefined> {
  if (await findCluster()) return undefined
  const cluster = await startCluster({ log })
  return () => cluster.stop()
}
