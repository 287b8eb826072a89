/**
 * Countersign as users have it: `npm run test:install`. The image is built from the Dockerfile, the chart is installed by
 * Helm on the test cluster that is up (or on one that is started for it), and two services hold mutual TLS while all of
 * it is upgraded, rolled back, drained and removed.
 *
 * @module
 */
import { logToStderr as log } from '../cluster/base/log.ts'
import { interruption } from '../cluster/interruption.ts'
import { withCluster } from '../cluster/with-cluster.ts'
import { type Counts, Scenario } from './scenario.ts'
import { build, cleanUp, prepare } from './set-up.ts'
import { SHOP } from './shop.ts'
import { show } from './show.ts'
import { Traffic } from './traffic.ts'

/** So short that every certificate is renewed meanwhile, and no shorter than an agent's restart allows. */
const ISSUANCE = { defaultTtl: '5m' }

async function main(signal: AbortSignal): Promise<Counts> {
  const built = await build(log, signal)
  return withCluster(log, signal, async (cluster) => {
    const scenario = new Scenario(log, signal)
    const release = await prepare(cluster, built, ISSUANCE)
    const traffic = await Traffic.listen(cluster.hostIp)
    try {
      await show(scenario, { cluster, release, traffic })
    } finally {
      traffic.close()
      // After a step that failed, the rest of it all is still there.
      await cluster.deleteNamespace(SHOP)
      await cleanUp(cluster, release)
    }
    return scenario.counts
  })
}

let counts: Counts = { passed: 0, failed: 1 }
try {
  counts = await main(interruption())
} catch (error) {
  log(error instanceof Error ? error.message : String(error))
}
process.stdout.write(`${counts.passed} passed, ${counts.failed} failed\n`)
process.exit(counts.failed === 0 ? 0 : 1)
