import { execFile } from 'node:child_process'
import { globSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Figure } from '../figure.ts'
import { measureFloor } from '../machine/floor.ts'
import { OTHER_CORE } from '../machine/cores.ts'
import type { WorkloadStreamsCommands } from '../programs/workload-streams.ts'
import { startAgent } from '../running-agent.ts'
import { fixed, percentile } from '../statistics.ts'

const WORKLOADS = 110
const FETCHES = { quick: 100, normal: 400, long: 2000 } as const
const GOAL = { p50: 1.5, p99: 3 } as const

/** How long a workload that starts waits for its identity on a node that is in use. */
export const warmFetch: Figure = {
  name: 'warm-fetch',
  async measure(stage, effort) {
    const { sockets } = await startAgent(stage, { count: WORKLOADS, ttl: '1h' })
    const streams = stage.remote<WorkloadStreamsCommands>('workload-streams.ts', OTHER_CORE)
    await streams.ask('open', { sockets })
    const count = FETCHES[effort]
    const probe = probeFile()
    const micros = probe
      ? await byProbe(probe, sockets, count)
      : await streams.ask('fetch', { socket: sockets[0] ?? '', count })
    const { wallMicros } = await measureFloor()
    const [p50, p99] = [percentile(micros, 50) / 1000, percentile(micros, 99) / 1000]
    return [
      {
        figure: 'warm fetch on the socket, p50 / p99',
        value: `${fixed(p50, 2)} / ${fixed(p99, 2)} ms`,
        numbers: { p50Ms: p50, p99Ms: p99, maxMs: percentile(micros, 100) / 1000 },
        floorMicros: wallMicros,
        goal: `${GOAL.p50} / ${GOAL.p99} ms`,
        met: p50 <= GOAL.p50 && p99 <= GOAL.p99,
        note: probe
          ? `${count} new go-spiffe processes, one after another, beside ${WORKLOADS} open streams`
          : `${count} new connections of grpc-js, since spiffe-probe is not built (npm run cluster -- up builds it)`,
      },
    ]
  },
}

/** The workload that is built for the test cluster. */
function probeFile(): string | undefined {
  const cache = process.env['COUNTERSIGN_CLUSTER_CACHE'] ?? join(homedir(), '.cache', 'countersign-cluster')
  return globSync(join(cache, 'spiffe-probe-*', 'bin', 'spiffe-probe')).at(-1)
}

async function byProbe(probe: string, sockets: readonly string[], count: number): Promise<number[]> {
  const micros: number[] = []
  for (let index = 0; index < count; index += 1) {
    const env = { ...process.env, SPIFFE_ENDPOINT_SOCKET: `unix://${sockets[index % sockets.length]}` }
    const { stdout } = await promisify(execFile)('taskset', ['-c', String(OTHER_CORE), probe, '-once'], { env })
    micros.push((JSON.parse(stdout) as { latencyMicros: number }).latencyMicros)
  }
  return micros
}
