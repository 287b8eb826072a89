import { readlink } from 'node:fs/promises'
import { waitFor } from './base/wait.ts'
import { forgetApiServer } from './components/api-request.ts'
import { clusterProcesses, removeCgroups } from './machine/cgroups.ts'
import { removeDirs } from './machine/covered-dirs.ts'
import { disconnectHost } from './machine/network.ts'
import { isAlive, processesInMountNamespace, signalAll } from './machine/process-table.ts'
import { readState, removeState, type State } from './machine/state.ts'
import { restoreSysctls } from './machine/sysctls.ts'

/**
 * Undoes all that a cluster did to the machine, whether it is up, half up or left over from a crash.
 *
 * Nothing is asked to stop: with the last process its namespaces go, and with them every mount, link and rule. So the
 * order is: processes, then what the kernel does not remove by itself. Each step may be repeated.
 */
export async function cleanUp(): Promise<void> {
  forgetApiServer()
  const state = await readState()
  await killAll(state)
  await disconnectHost()
  await removeCgroups()
  if (state) {
    await restoreSysctls(state.sysctls)
    await removeDirs(state.createdDirs)
  }
  await removeState()
}

async function killAll(state: State | undefined): Promise<void> {
  await waitFor(
    'the processes of the cluster to end',
    async () => {
      const pids = [...(await clusterProcesses()), ...(await processesInside(state))]
      signalAll(pids, 'SIGKILL')
      return pids.length === 0
    },
    { timeout: 30_000, interval: 20 },
  )
}

/** Also those that somebody moved into a node by hand. */
async function processesInside(state: State | undefined): Promise<number[]> {
  const found: number[] = []
  for (const holder of Object.values(state?.nodes ?? {})) {
    // Once its keeper is gone, the namespace's number may be another's.
    if (!(await isAlive(holder))) continue
    const namespace = await readlink(`/proc/${holder.pid}/ns/mnt`).catch(() => undefined)
    // Until it has unshared, the keeper is in ours.
    if (namespace === undefined || namespace === (await readlink('/proc/self/ns/mnt'))) continue
    found.push(...(await processesInMountNamespace(namespace)))
  }
  return found
}
