import { readdirSync, readFileSync } from 'node:fs'
import type { Cluster } from '../../cluster/cluster.ts'
import { waitFor } from '../../cluster/base/wait.ts'
import type { Part } from '../../install/release.ts'

const OPERATIONS_PORT = 9090
const LOOK_MS = 10
const TICKS_PER_SECOND = 100

/**
 * Deletes a part's pods, and times one of those that follow.
 *
 * @returns milliseconds from the start of its process to its first good answer to `/readyz`
 */
export async function coldStart(cluster: Cluster, { namespace, container }: Part): Promise<number> {
  const before = new Set(processesOf(container).map(({ pid }) => pid))
  const selector = `app.kubernetes.io/component=${container}`
  await cluster.kubectl(['delete', 'pods', '--namespace', namespace, '--selector', selector, '--wait=false'])
  const process = await waitFor(
    `a new ${container}`,
    () => processesOf(container).find(({ pid }) => !before.has(pid)),
    { interval: LOOK_MS },
  )
  const address = await waitFor(`the address of the new ${container}`, () => addressOf(process.pid), {
    interval: LOOK_MS,
  })
  const readyAt = await waitFor(
    `${container} to be ready`,
    async () => (await fetch(`http://${address}:${OPERATIONS_PORT}/readyz`)).ok && uptimeMs(),
    { interval: LOOK_MS },
  )
  return readyAt - process.startedMs
}

interface Process {
  readonly pid: number
  /** Since the machine's start. */
  readonly startedMs: number
}

/** All processes of the image's program of this name, on whatever node. */
function processesOf(program: string): Process[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.flatMap((pid) => {
    try {
      if (!readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(`/opt/countersign/bin/${program}\0`)) return []
      // The name, in brackets, may hold spaces; what follows it begins with field 3, and the start is field 22.
      const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
        .replace(/^.*\) /, '')
        .split(' ')
      return [{ pid: Number(pid), startedMs: (Number(fields[19]) * 1000) / TICKS_PER_SECOND }]
    } catch {
      // It has ended meanwhile.
      return []
    }
  })
}

/** kubelet writes it into the pod's `/etc/hosts`; the API server hears of it a second later. */
function addressOf(pid: number): string | undefined {
  const lines = readFileSync(`/proc/${pid}/root/etc/hosts`, 'utf8').split('\n')
  return lines.findLast((line) => /^\d+\.\d+\.\d+\.\d+\t/.test(line) && !line.startsWith('127.'))?.split('\t')[0]
}

export function uptimeMs(): number {
  return Number.parseFloat(readFileSync('/proc/uptime', 'latin1')) * 1000
}
