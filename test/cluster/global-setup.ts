import { ON_TURN, findCluster } from './attach.ts'
import { logToStderr as log } from './base/log.ts'
import { startCluster } from './start.ts'

/**
 * Run by vitest around all `*.cluster.test.ts` and `*.platform.test.ts` files: one cluster serves them all. A cluster that was started
 * by hand, or by the runner that started vitest, is used and left up; that of anybody else is waited for.
 */
export async function setup(): Promise<(() => Promise<void>) | undefined> {
  if (await findCluster(process.env[ON_TURN] ? 'any' : 'detached')) return undefined
  const cluster = await startCluster({ log })
  return () => cluster.stop()
}
