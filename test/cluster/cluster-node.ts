import type { ChildProcess, StdioOptions } from 'node:child_process'
import { join } from 'node:path'
import { type RunResult, tryRun } from './base/run.ts'
import { waitFor } from './base/wait.ts'
import { callApi } from './components/api-request.ts'
import { importImage, tagImage } from './components/containerd.ts'
import { startKubelet, stopKubelet } from './components/kubelet.ts'
import { DEFAULT_KUBELET_ROOT, type NodeLayout, type NodeName } from './layout.ts'
import { enterCommand, type Placement, spawnPlaced } from './machine/processes.ts'
import type { State } from './machine/state.ts'
import { binariesFrom } from './tools/build.ts'

export interface SpawnOptions {
  /** Added to this process's own. */
  env?: NodeJS.ProcessEnv
  /** Default: this process's own. */
  cwd?: string
  /** Default: pipes. */
  stdio?: StdioOptions
  /**
   * Whose network: `host` (default) shares loopback with this process, so that a test's own servers are at hand;
   * `node` has the node's addresses, as a pod with `hostNetwork` would.
   */
  network?: 'host' | 'node'
}

/** One node of the cluster. */
export class ClusterNode {
  readonly name: NodeName
  /** The node's `InternalIP`. */
  readonly ip: string
  /** kubelet's `--root-dir`, as seen in the node; from outside, see {@link insidePath}. */
  readonly kubeletRoot: string
  /** Where a CSI driver puts the socket that kubelet registers it by. */
  readonly pluginsRegistryDir: string
  readonly #layout: NodeLayout
  readonly #state: State

  constructor(layout: NodeLayout, state: State) {
    this.name = layout.name
    this.ip = layout.ip
    this.kubeletRoot = state.settings.kubeletRoots[layout.name] ?? DEFAULT_KUBELET_ROOT
    this.pluginsRegistryDir = join(this.kubeletRoot, 'plugins_registry')
    this.#layout = layout
    this.#state = state
  }

  /** The namespaces of the node's own components. */
  get placement(): Placement {
    const holder = this.#state.nodes[this.name]
    if (!holder) throw new Error(`${this.name} has no namespaces yet`)
    return { mountOf: holder.pid, networkOf: holder.pid }
  }

  /**
   * Starts a process that sees and makes mounts as a privileged pod of the node does. The child's `pid` is the
   * command's own; the cluster's end kills it, if nobody did before.
   */
  spawn(command: string, args: readonly string[] = [], options: SpawnOptions = {}): ChildProcess {
    const { env, stdio = 'pipe' } = options
    return spawnPlaced(command, args, { ...this.#place(options), env: { ...process.env, ...env } }, stdio)
  }

  /** Runs a command as {@link spawn} does, to its end. */
  async run(
    command: string,
    args: readonly string[] = [],
    options: Omit<SpawnOptions, 'stdio'> = {},
  ): Promise<RunResult> {
    const [enter = 'env', ...rest] = enterCommand(this.#place(options))
    return tryRun(enter, [...rest, command, ...args], { env: { ...process.env, ...options.env } })
  }

  /** How this process, which is outside, can read a file inside: `insidePath('/var/lib/kubelet/pods')`. */
  insidePath(path: string): string {
    return `/proc/${this.placement.mountOf}/root${path}`
  }

  /** The folder in which kubelet keeps the volumes of a pod, as seen inside. */
  podDir(podUid: string): string {
    return join(this.kubeletRoot, 'pods', podUid)
  }

  async importImage(archive: string): Promise<void> {
    await importImage(this.#layout, this.placement, archive)
  }

  async tagImage(from: string, to: string): Promise<void> {
    await tagImage(this.#layout, this.placement, from, to)
  }

  /** Kills kubelet; containers, mounts and its files stay. */
  async stopKubelet(): Promise<void> {
    await stopKubelet(this.#layout)
  }

  async startKubelet(): Promise<void> {
    const { binaries, settings } = this.#state
    await startKubelet(binariesFrom(binaries), this.#layout, this.placement, {
      root: this.kubeletRoot,
      config: settings.kubeletConfig,
    })
  }

  /** Kills kubelet, starts it, and returns once it has told the API server that it is ready. */
  async restartKubelet(): Promise<void> {
    await this.stopKubelet()
    const since = new Date()
    await this.startKubelet()
    await this.waitUntilReady(since)
  }

  /** Waits until kubelet says that the node is ready; with `since`, that it said so after then. */
  async waitUntilReady(since?: Date): Promise<void> {
    await waitFor(`${this.name} to be ready`, async () => {
      const { status } = await callApi<NodeObject>('GET', `/api/v1/nodes/${this.name}`)
      const ready = status?.conditions?.find((condition) => condition.type === 'Ready')
      // Kubernetes' times are whole seconds.
      const heard = ready?.lastHeartbeatTime ? Date.parse(ready.lastHeartbeatTime) + 999 : 0
      return ready?.status === 'True' && (!since || heard >= since.getTime())
    })
  }

  #place({ network = 'host', cwd = process.cwd() }: SpawnOptions): Placement {
    const { mountOf, networkOf } = this.placement
    return {
      ...(mountOf === undefined ? {} : { mountOf }),
      ...(network === 'node' && networkOf !== undefined ? { networkOf } : {}),
      cwd,
    }
  }
}

interface NodeObject {
  status?: { conditions?: { type: string; status: string; lastHeartbeatTime?: string }[] }
}
