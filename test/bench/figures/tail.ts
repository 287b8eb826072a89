import type { Figure } from '../figure.ts'
import { measureFloor } from '../machine/floor.ts'
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
    const { p50, p99, p999, max, senderLateP99 } = await load.ask('openLoop', { seconds, rate: RATE })
    const { wallMicros } = await measureFloor()
    return [
      {
        figure: `issuance at ${RATE}/s for ${seconds} s, p50 / p99`,
        value: `${fixed(p50, 2)} / ${fixed(p99, 2)} ms`,
        numbers: { p50Ms: p50, p99Ms: p99, p999Ms: p999, maxMs: max, senderLateP99Ms: senderLateP99 },
        floorMicros: wallMicros,
        goal: `p99 < ${GOAL_MS} ms`,
        met: p99 < GOAL_MS,
        note: `from the intended sending time; p99.9 ${fixed(p999)} ms, longest ${fixed(max)} ms; the sender itself was late by ${fixed(senderLateP99, 2)} ms (p99)`,
      },
    ]
  },
}
