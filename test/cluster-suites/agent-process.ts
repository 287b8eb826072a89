import { setTimeout as sleep } from 'node:timers/promises'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { waitFor } from '../cluster/base/wait.ts'
import type { ClusterNode } from '../cluster/cluster-node.ts'
import type { Cluster } from '../cluster/cluster.ts'
import { type BrokerProcess, REPOSITORY } from './broker-process.ts'
import { scrape, type Scrape } from './metrics.ts'
import { Program } from './program.ts'

export const CSI_DRIVER = 'csi.countersign.dev'
export const AGENT = { namespace: 'countersign-agent', serviceAccount: 'countersign-agent' }
const MAIN = join(REPOSITORY, 'agent', 'main.ts')
/** The tokens live for an hour; one that could not be made is made the next time. */
const TOKEN_INTERVAL_MS = 15 * 60_000
/** By then kubelet has an answer. */
const ANSWERED_MS = 1_000

export interface AgentOptions {
  readonly trustDomain: string
  readonly directory: string
}

/**
 * The agent as a process with a node's mounts. A pod that does nothing stands in for its own, and lends it the token;
 * kubelet would renew that in the pod's volume, so it is made anew here.
 */
export class AgentProcess {
  readonly node: ClusterNode
  readonly #cluster: Cluster
  readonly #broker: BrokerProcess
  readonly #options: AgentOptions
  #program: Program | undefined
  #operationsPort = 0
  #registeredAtMs = 0
  #pod = ''
  #tokens: NodeJS.Timeout | undefined

  constructor(cluster: Cluster, node: ClusterNode, broker: BrokerProcess, options: AgentOptions) {
    this.#cluster = cluster
    this.node = node
    this.#broker = broker
    this.#options = { ...options, directory: join(options.directory, node.name) }
  }

  get program(): Program {
    if (!this.#program) throw new Error(`the agent of ${this.node.name} was not started`)
    return this.#program
  }

  get tokenFile(): string {
    return join(this.#options.directory, 'token')
  }

  get stateDirectory(): string {
    return join(this.#options.directory, 'state')
  }

  /** Starts it, and returns once what was there before is served again; {@link registered} says when kubelet calls. */
  async start(): Promise<void> {
    await mkdir(this.stateDirectory, { recursive: true })
    await this.#lendToken()
    this.#tokens ??= setInterval(() => void this.#renewToken().catch(() => {}), TOKEN_INTERVAL_MS).unref()
    const args = [MAIN, '--config', await this.#configure()]
    const child = this.node.spawn(process.execPath, args, { cwd: REPOSITORY, stdio: ['ignore', 'pipe', 'pipe'] })
    const name = `agent-${this.node.name}`
    this.#program = new Program(name, child, join(this.#cluster.logDir, `${name}.log`))
    const { operationsPort } = await this.#program.until(({ msg }) => msg === 'started')
    this.#operationsPort = Number(operationsPort)
  }

  /**
   * Waits until kubelet has this agent as its driver. CSINode alone does not tell: it names the agent before, and this one
   * a moment before kubelet is done, and an agent that is killed in that moment is forgotten.
   */
  async registered(): Promise<void> {
    await this.program.until(({ msg }) => msg === 'kubelet has registered the driver')
    await waitFor(`${this.node.name} to know the driver`, async () => {
      const { spec } = await this.#cluster.api<{ spec: { drivers?: { name: string }[] | null } }>(
        'GET',
        `/apis/storage.k8s.io/v1/csinodes/${this.node.name}`,
      )
      return spec.drivers?.some(({ name }) => name === CSI_DRIVER)
    })
    this.#registeredAtMs = performance.now()
  }

  /**
   * SIGKILL, as in a crash: the node's mounts stay. A moment after its registration: kubelet forgets an agent whose answer
   * to the news of it does not come, and nothing tells when it has come.
   */
  async kill(): Promise<void> {
    await sleep(Math.max(0, this.#registeredAtMs + ANSWERED_MS - performance.now()))
    await this.#program?.kill()
  }

  async stop(): Promise<void> {
    clearInterval(this.#tokens)
    this.#tokens = undefined
    await this.#program?.stop()
  }

  async metrics(): Promise<Scrape> {
    return scrape(this.#operationsPort)
  }

  /** How many calls of kubelet have ended well. */
  async csiCalls(method: 'NodePublishVolume' | 'NodeUnpublishVolume'): Promise<number> {
    return (await this.metrics()).sum('countersign_agent_csi_calls_total', { method, code: 'ok' })
  }

  /** A former start has made the token already: a start while the API server is away finds it. */
  async #lendToken(): Promise<void> {
    if (this.#pod !== '') return
    this.#pod = await this.#cluster.createPlaceholderPod({ ...AGENT, node: this.node.name })
    await this.#renewToken()
  }

  async #renewToken(): Promise<void> {
    const audience = `countersign.dev/${this.#options.trustDomain}`
    const token = await this.#cluster.createToken({ ...AGENT, audience, pod: this.#pod })
    await writeFile(`${this.tokenFile}.new`, token, { mode: 0o600 })
    await rename(`${this.tokenFile}.new`, this.tokenFile)
  }

  async #configure(): Promise<string> {
    const config = {
      trustDomain: this.#options.trustDomain,
      nodeName: this.node.name,
      broker: { address: this.#broker.address },
      tokenFile: this.tokenFile,
      bootstrapBundleFile: this.#broker.bundleDocument,
      stateDirectory: this.stateDirectory,
      csi: { pluginsRegistry: this.node.pluginsRegistryDir, kubeletDirectory: this.node.kubeletRoot },
      operations: { listen: '127.0.0.1:0' },
    }
    const file = join(this.#options.directory, 'agent.yaml')
    await writeFile(file, JSON.stringify(config, null, 2))
    return file
  }
}
