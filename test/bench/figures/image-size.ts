import { logToStderr } from '../../cluster/base/log.ts'
import { buildCountersignImage } from '../../cluster/images/countersign-image.ts'
import { layersOf } from '../../cluster/images/layers.ts'
import type { Figure } from '../figure.ts'
import { fixed } from '../statistics.ts'

const GOAL_MIB = 120

/** What the image adds to its base, as a node stores it and as a registry sends it. */
export const imageSize: Figure = {
  name: 'image-size',
  onCluster: true,
  async measure() {
    const [base, ...own] = await layersOf(await buildCountersignImage(logToStderr))
    const mebibytes = (of: 'compressed' | 'uncompressed') => own.reduce((sum, layer) => sum + layer[of], 0) / 2 ** 20
    const [stored, sent] = [mebibytes('uncompressed'), mebibytes('compressed')]
    return [
      {
        figure: 'image on its base, stored / compressed',
        value: `${fixed(stored)} / ${fixed(sent)} MiB`,
        numbers: { storedMib: stored, compressedMib: sent, baseStoredMib: (base?.uncompressed ?? 0) / 2 ** 20 },
        goal: `≤ ${GOAL_MIB} MiB`,
        met: stored <= GOAL_MIB,
        note: 'Node.js without its symbols is 111 MiB of it',
      },
    ]
  },
}
