import type { Figure } from '../figure.ts'
import { OTHER_CORE } from '../machine/cores.ts'
import { measureFloor } from '../machine/floor.ts'
import type { DiskWitnessCommands } from '../programs/disk-witness.ts'
import { fixed } from '../statistics.ts'
import { brokerUnderLoad } from './issuance.ts'

const RATE = 1000
const GOAL_MS = 10
const SECONDS = { quick: 20, normal: 60, long: 300 } as const

/** How long the slowest hundredth waits when SVIDs are asked for at a rate that the broker does not choose. */
export const tail: Figure = {
  name: 'tail',
  async measure(stage, effort) {
    const seconds = SECONDS[effort]
    const nodes = 8
    // A pod of its own for every call; `long` goes round.
    const perNode = (Math.min(seconds, 60) * RATE) / nodes
    const { load } = await brokerUnderLoad(stage, { nodes, perNode: perNode + 500 })
    await load.ask('openLoop', { seconds: 4, rate: RATE })
    // Another program that waits for the same disk meanwhile, so that a slow disk is not taken for a slow broker.
    const witness = stage.remote<DiskWitnessCommands>('disk-witness.ts', OTHER_CORE)
    const watched = witness.ask('watch', { file: stage.path('witness') })
    const { p50, p99, p999, max, senderLateP99, senderLateMax } = await load.ask('openLoop', { seconds, rate: RATE })
    await witness.ask('stop', undefined)
    const disk = await watched
    const { wallMicros } = await measureFloor()
    return [
      {
        figure: `issuance at ${RATE}/s for ${seconds} s, p50 / p99`,
        value: `${fixed(p50, 2)} / ${fixed(p99, 2)} ms`,
        numbers: {
          ...{ p50Ms: p50, p99Ms: p99, p999Ms: p999, maxMs: max },
          ...{ senderLateP99Ms: senderLateP99, senderLateMaxMs: senderLateMax },
          ...{ diskP50Ms: disk.p50, diskP99Ms: disk.p99, diskMaxMs: disk.max },
        },
        floorMicros: wallMicros,
        goal: `p99 < ${GOAL_MS} ms`,
        met: p99 < GOAL_MS,
        note: `from the intended sending time; p99.9 ${fixed(p999)} ms, longest ${fixed(max)} ms; the sender itself was late by ${fixed(senderLateP99, 2)} ms (p99; longest ${fixed(senderLateMax)}); one sync of the disk meanwhile ${fixed(disk.p99, 2)} ms (p99; longest ${fixed(disk.max)})`,
      },
    ]
  },
}
