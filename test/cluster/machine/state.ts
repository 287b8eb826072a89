import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type NodeName, STATE_DIR, STATE_FILE } from '../layout.ts'
import { isAlive, type ProcessId } from './process-table.ts'
import type { Sysctls } from './sysctls.ts'

/** What a suite may choose; kept for restarts. */
export interface ClusterSettings {
  /** Flags for the API server, after our own. */
  apiServerArgs: string[]
  /** Fields of `KubeletConfiguration`, in place of our own. */
  kubeletConfig: Record<string, unknown>
  /** kubelet's `--root-dir`, by node; default `/var/lib/kubelet` on both. */
  kubeletRoots: Partial<Record<NodeName, string>>
}

/** What the cluster changed on the machine, written before it is changed, so that whoever comes next can undo it. */
export interface State {
  /** Whose end is the cluster's end; `null` for a cluster that stays until it is told to stop. */
  owner: ProcessId | null
  phase: 'starting' | 'up'
  /** The process that keeps the control plane's network namespace. */
  controlPlane?: ProcessId
  /** The processes that keep the nodes' network and mount namespaces. */
  nodes: Record<string, ProcessId>
  /** Folders that were made to be mounted over, in the order in which they were made. */
  createdDirs: string[]
  /** Settings of the kernel that kubelet changes, as they were. */
  sysctls: Sysctls
  /** Paths of the built programs by name, for those who attach. */
  binaries: Record<string, string>
  settings: ClusterSettings
}

export async function readState(): Promise<State | undefined> {
  const text = await readFile(STATE_FILE, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  return text === undefined ? undefined : (JSON.parse(text) as State)
}

export async function writeState(state: State): Promise<void> {
  await mkdir(STATE_DIR, { recursive: true, mode: 0o700 })
  const partial = join(STATE_DIR, 'state.json.new')
  await writeFile(partial, JSON.stringify(state, null, 2))
  await rename(partial, STATE_FILE)
}

/**
 * Whether somebody uses the cluster of `state`: it is up and its owner, if it has one, still runs. Anything else is
 * left over from a run that crashed; asked under the lock, so that nobody is just starting it.
 */
export async function isInUse(state: State): Promise<boolean> {
  if (state.owner && !(await isAlive(state.owner))) return false
  return state.phase === 'up' && state.controlPlane !== undefined && (await isAlive(state.controlPlane))
}

export async function removeState(): Promise<void> {
  await rm(STATE_DIR, { recursive: true, force: true })
}
