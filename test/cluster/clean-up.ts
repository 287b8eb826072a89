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

/** Also those that somebody moved into the cluster by hand. */
async function processesInside(state: State | undefined): Promise<number[]> {
  if (!state?.controlPlane || state.mountNamespace === undefined) return []
  // Once its keeper is gone, the namespace's number may be another's.
  if (!(await isAlive(state.controlPlane))) return []
  return processesInMountNamespace(state.mountNamespace)
}
