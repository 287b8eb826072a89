import { setTimeout as delay } from 'node:timers/promises'
import type { Figure } from '../figure.ts'
import { OTHER_CORE } from '../machine/cores.ts'
import type { WorkloadStreamsCommands } from '../programs/workload-streams.ts'
import { startAgent } from '../running-agent.ts'
import { fixed } from '../statistics.ts'

const WORKLOADS = 100
const LOOK_EVERY_MS = 50
const SECONDS = { quick: 30, normal: 60, long: 300 } as const

/** Whether `ttl` is renewed without one gap, in files and on streams, seen by a reader that knows nothing of the agent. */
export function shortestTtl(ttl: string, goal: boolean): Figure {
  return {
    name: `ttl-${ttl}`,
    async measure(stage, effort) {
      const { sockets, volumes } = await startAgent(stage, { count: WORKLOADS, ttl })
      const reader = stage.remote<WorkloadStreamsCommands>('workload-streams.ts', OTHER_CORE)
      await reader.ask('open', { sockets })
      await reader.ask('watch', { folders: volumes, everyMs: LOOK_EVERY_MS })
      await delay(SECONDS[effort] * 1000)
      const { streams, files } = await reader.ask('seen', undefined)
      const gaps = streams.gaps + files.gaps
      const least = Math.min(streams.leastLeftMs, files.leastLeftMs)
      const problems = [...streams.problems, ...files.problems]
      return [
        {
          figure: `TTL of ${ttl}, ${WORKLOADS} workloads, ${SECONDS[effort]} s`,
          value: `${gaps} gaps`,
          numbers: {
            gaps,
            leastLeftMs: least,
            looks: streams.looks + files.looks,
            fewestRenewals: Math.min(streams.fewestUpdates, files.fewestUpdates) - 1,
          },
          ...(goal ? { goal: '0 gaps', met: gaps === 0 } : {}),
          note: `${streams.looks + files.looks} looks at files and streams; the least time left was ${fixed(least / 1000, 2)} s; each was renewed at least ${Math.min(streams.fewestUpdates, files.fewestUpdates) - 1} times${problems.length > 0 ? `; ${problems.join('; ')}` : ''}`,
        },
      ]
    },
  }
}
