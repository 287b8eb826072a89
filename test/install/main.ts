/**
 * Countersign as users have it: `npm run test:install`. The image is built from the Dockerfile, the chart is installed by
 * Helm on the test cluster that is up (or on one that is started for it), and two services hold mutual TLS while all of
 * it is upgraded, rolled back, drained and removed.
 *
 * @module
 */
import { logToStderr as log } from '../cluster/base/log.ts'
import type { Cluster } from '../cluster/cluster.ts'
import { buildCountersignImage, COUNTERSIGN_IMAGE } from '../cluster/images/countersign-image.ts'
import { interruption } from '../cluster/interruption.ts'
import { buildTools } from '../cluster/tools/build.ts'
import { HELM } from '../cluster/tools/catalog.ts'
import { withCluster } from '../cluster/with-cluster.ts'
import { Release, TRUST_DOMAIN } from './release.ts'
import { type Counts, Scenario } from './scenario.ts'
import { SHOP } from './shop.ts'
import { NEXT_TAG, removeKept, show } from './show.ts'
import { Traffic } from './traffic.ts'

const VOLUME = 'countersign-ledger'

/** Short lives, so that every certificate is renewed meanwhile: not shorter than an agent's restart allows. */
const VALUES = {
  trustDomain: TRUST_DOMAIN,
  image: { repository: COUNTERSIGN_IMAGE.replace(/:[^:]*$/, ''), pullPolicy: 'IfNotPresent' },
  persistence: { size: '1Gi' },
  broker: { config: { issuance: { minTtl: '1m', defaultTtl: '5m' } } },
  agent: { maxUnavailable: 1 },
}

async function main(signal: AbortSignal): Promise<Counts> {
  const { helm = '' } = await buildTools(log, signal, [HELM])
  const archive = await buildCountersignImage(log, signal)
  return withCluster(log, signal, async (cluster) => {
    await cluster.importImage(archive)
    await cluster.tagImage(COUNTERSIGN_IMAGE, COUNTERSIGN_IMAGE.replace(/[^:]*$/, NEXT_TAG))
    await cluster.createVolume(VOLUME, VALUES.persistence.size)
    const scenario = new Scenario(log, signal)
    const release = new Release(cluster, helm, VALUES)
    const traffic = await Traffic.listen(cluster.hostIp)
    try {
      await show(scenario, { cluster, release, traffic })
    } finally {
      traffic.close()
      await cleanUp(cluster, release)
    }
    return scenario.counts
  })
}

/** After a step that failed, the rest of it all is still there. */
async function cleanUp(cluster: Cluster, release: Release): Promise<void> {
  await cluster.deleteNamespace(SHOP)
  await release.remove()
  await removeKept(cluster)
  await cluster.deleteVolume(VOLUME)
}

let counts: Counts = { passed: 0, failed: 1 }
try {
  counts = await main(interruption())
} catch (error) {
  log(error instanceof Error ? error.message : String(error))
}
process.stdout.write(`${counts.passed} passed, ${counts.failed} failed\n`)
process.exit(counts.failed === 0 ? 0 : 1)
