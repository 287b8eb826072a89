/**
 * The image of Countersign, for hands:
 *
 *     npm run image                 build it from the Dockerfile, on local bases, and say how large it is
 *     npm run image -- --import     the same, and make it known to the nodes of the cluster that is up, also by the name
 *                                   that the chart and deploy/manifests have for it
 *     npm run image -- --tag next   import it by another tag too
 *
 * @module
 */
import { parseArgs } from 'node:util'
import { BROKER_VERSION } from '../../../broker/version.ts'
import { attachCluster } from '../attach.ts'
import { logToStderr as log } from '../base/log.ts'
import { interruption } from '../interruption.ts'
import { buildCountersignImage, COUNTERSIGN_IMAGE } from './countersign-image.ts'
import { layersOf } from './layers.ts'

const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`

try {
  const { values } = parseArgs({ options: { import: { type: 'boolean' }, tag: { type: 'string' } } })
  const archive = await buildCountersignImage(log, interruption())
  const [base, ...own] = await layersOf(archive)
  const sum = (of: 'compressed' | 'uncompressed') => mebibytes(own.reduce((total, layer) => total + layer[of], 0))
  log(`${archive}: ${sum('uncompressed')} on its base, ${sum('compressed')} compressed`)
  log(`(the base: ${mebibytes(base?.uncompressed ?? 0)}, ${mebibytes(base?.compressed ?? 0)} compressed)`)
  if (values.import || values.tag !== undefined) {
    const cluster = await attachCluster()
    await cluster.importImage(archive)
    const others = [BROKER_VERSION, ...(values.tag === undefined ? [] : [values.tag])].map((tag) =>
      COUNTERSIGN_IMAGE.replace(/:[^:]+$/, `:${tag}`),
    )
    for (const other of others) await cluster.tagImage(COUNTERSIGN_IMAGE, other)
    log(`both nodes have ${[COUNTERSIGN_IMAGE, ...others].join(', ')}`)
  }
} catch (error) {
  log(error instanceof Error ? error.message : String(error))
  process.exitCode = 1
}
