import { type Dirent, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Figure } from '../figure.ts'
import { OTHER_CORE } from '../machine/cores.ts'
import { mib } from '../machine/process-figures.ts'
import type { WorkloadStreamsCommands } from '../programs/workload-streams.ts'
import { startAgent, until } from '../running-agent.ts'
import { fixed } from '../statistics.ts'

const WORKLOADS = 110
const ROTATIONS = 3
const TTL = '10s'
const GOAL_MIB = 72
const SETTLE_MS = 2000

/** What the agent of a full node keeps in memory. */
export const agentMemory: Figure = {
  name: 'agent-memory',
  async measure(stage) {
    const agent = await startAgent(stage, { count: WORKLOADS, ttl: TTL })
    const { sockets } = agent
    const streams = stage.remote<WorkloadStreamsCommands>('workload-streams.ts', OTHER_CORE)
    await streams.ask('open', { sockets })
    await until(async () => (await streams.ask('seen', undefined)).streams.fewestUpdates > ROTATIONS, 60_000)
    await delay(SETTLE_MS)
    const { rss, anon } = agent.memory()
    const tmpfs = kibIn(stage.memory)
    return [
      {
        figure: `agent RSS, ${WORKLOADS} workloads and streams, ${ROTATIONS} rotations`,
        value: `${fixed(mib(rss))} MiB`,
        numbers: { rssMib: mib(rss), anonMib: mib(anon), tmpfsMib: mib(tmpfs) },
        goal: `≤ ${GOAL_MIB} MiB`,
        met: mib(rss) <= GOAL_MIB,
        note: `${fixed(mib(anon))} MiB of it anonymous; ${fixed(mib(tmpfs), 2)} MiB of files; declared workloads, without kubelet`,
      },
    ]
  },
}

/** What the files in a folder take, in KiB: a tmpfs gives each whole pages. */
function kibIn(folder: string): number {
  const files = filesIn(folder)
  // A file may go between the two: generations are replaced all the time.
  const blocksOf = (path: string) => statSync(path, { throwIfNoEntry: false })?.blocks ?? 0
  return files.reduce((sum, file) => sum + blocksOf(join(file.parentPath, file.name)) / 2, 0)
}

/** A folder that goes while it is read ends the whole reading. */
function filesIn(folder: string): Dirent[] {
  for (let attempts = 1; ; attempts += 1) {
    try {
      return readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || attempts === 100) throw error
    }
  }
}
