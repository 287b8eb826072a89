import { whileNotAborted } from './base/cancellation.ts'
import type { Log } from './base/log.ts'
import { waitFor } from './base/wait.ts'
import { bringUp } from './bring-up.ts'
import { cleanUp } from './clean-up.ts'
import type { Cluster } from './cluster.ts'
import { keepLogs } from './logs.ts'
import { whileLocked, whileOnTurn } from './machine/lock.ts'
import { ensurePackages } from './machine/packages.ts'
import { identify, isAlive } from './machine/process-table.ts'
import { type ClusterSettings, isInUse, readState } from './machine/state.ts'
import { buildTools } from './tools/build.ts'

export interface StartOptions extends Partial<ClusterSettings> {
  log?: Log
  /** Stops the start, and undoes what it did so far. */
  signal?: AbortSignal
  /**
   * Leave the cluster up when this process ends. Otherwise a cluster whose process died is taken for left over, and
   * the next start removes it.
   */
  detached?: boolean
  /** The caller, or the process that started it, has its turn already (`whileOnTurn`). */
  onTurn?: boolean
}

/**
 * Starts a cluster of two nodes and returns once both are ready. Installs and builds what is missing first, and waits
 * for the end of a cluster that belongs to another process.
 *
 * @throws when a cluster is up that was started by hand: there is at most one on a machine.
 */
export async function startCluster(options: StartOptions = {}): Promise<Cluster> {
  const { log = () => undefined, signal = new AbortController().signal, onTurn = false } = options
  await ensurePackages(log)
  const binaries = await buildTools(log, signal)
  const start = async (): Promise<Cluster> => {
    await whileNotAborted(signal, () => waitForTheirs(log))
    return whileLocked(log, () => startFromNothing(binaries, signal, log, options))
  }
  return onTurn ? start() : whileOnTurn(log, signal, start)
}

async function startFromNothing(
  binaries: Record<string, string>,
  signal: AbortSignal,
  log: Log,
  options: StartOptions,
): Promise<Cluster> {
  const before = await readState()
  if (before && (await isInUse(before))) {
    throw new Error('a test cluster is up already: stop it by `npm run cluster -- down`')
  }
  if (before) log('removing what a cluster left behind that was not stopped')
  // Even without a state: its folder may have been removed by hand.
  await cleanUp()
  signal.throwIfAborted()

  const { detached = false, apiServerArgs = [], kubeletConfig = {}, kubeletRoots = {} } = options
  const owner = detached ? null : ((await identify(process.pid)) ?? null)
  const settings = { apiServerArgs, kubeletConfig, kubeletRoots }
  try {
    return await whileNotAborted(signal, () => bringUp({ owner, binaries, settings, log }))
  } catch (error) {
    // Whoever stopped it looks for no reason in logs.
    const logs = signal.aborted ? undefined : await keepLogs()
    if (logs !== undefined) log(`the start failed; the components' logs are in ${logs}`)
    await cleanUp()
    throw error
  }
}

/** A cluster that belongs to another process ends with it; one that was started by hand does not end by itself. */
async function waitForTheirs(log: Log): Promise<void> {
  let said = false
  await waitFor(
    'the cluster of another process to end',
    async () => {
      const state = await readState()
      if (!state?.owner || !(await isAlive(state.owner))) return true
      if (!said) log(`process ${state.owner.pid} has a test cluster, waiting for its end …`)
      said = true
      return false
    },
    { timeout: 60 * 60_000, interval: 500 },
  )
}
