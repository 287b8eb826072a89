import { resolve } from 'node:path'
import { run, type RunResult, tryRun } from '../cluster/base/run.ts'
import { waitFor } from '../cluster/base/wait.ts'
import type { Cluster } from '../cluster/cluster.ts'
import { CSI_DRIVER } from '../cluster-suites/agent-process.ts'

export const TRUST_DOMAIN = 'prod.example'
export const SYSTEM = 'countersign-system'
export const AGENTS = 'countersign-agent'

/** The parts of an installation, as kubectl names them, each with its namespace. */
export const BROKER = { namespace: SYSTEM, workload: 'deployment/countersign-broker', container: 'broker' } as const
export const AGENT = { namespace: AGENTS, workload: 'daemonset/countersign-agent', container: 'agent' } as const
export type Part = typeof BROKER | typeof AGENT

const RELEASE = 'countersign'
const CHART = resolve(import.meta.dirname, '..', '..', 'deploy', 'chart')
const TIMEOUT_MS = 180_000
/** Helm leaves alone what somebody else has set, such as the image that {@link Release.setImage} gave one part. */
const THEIRS_TOO = ['--force-conflicts']

/** Countersign as a release of Helm, as a user would have it. */
export class Release {
  readonly #cluster: Cluster
  readonly #helm: string
  readonly #values: object

  /** @param values what a user would write into a file of values, but for the image's tag */
  constructor(cluster: Cluster, helm: string, values: object) {
    this.#cluster = cluster
    this.#helm = helm
    this.#values = values
  }

  async install(tag: string): Promise<void> {
    const namespace = { 'pod-security.kubernetes.io/enforce': 'restricted' }
    await this.#cluster.createNamespace(SYSTEM, namespace)
    await this.#apply('install', tag)
  }

  async upgrade(tag: string): Promise<void> {
    await this.#apply('upgrade', tag)
  }

  /** To what was there before the last install, upgrade or rollback. */
  async rollback(): Promise<void> {
    await this.#run(['rollback', RELEASE, ...THEIRS_TOO])
    await this.settled()
  }

  /** Whatever comes of it. */
  async uninstall(): Promise<RunResult> {
    return tryRun(this.#helm, [...this.#arguments(['uninstall', RELEASE]), '--wait', '--timeout', '120s'], {
      timeout: TIMEOUT_MS,
    })
  }

  /** Away with it, whoever still uses it. */
  async remove(): Promise<void> {
    await tryRun(
      this.#helm,
      [...this.#arguments(['uninstall', RELEASE]), '--no-hooks', '--ignore-not-found', '--wait'],
      {
        timeout: TIMEOUT_MS,
      },
    )
  }

  /** Gives one part alone another image. */
  async setImage({ namespace, workload, container }: Part, reference: string): Promise<void> {
    await this.#cluster.kubectl(['set', 'image', workload, `${container}=${reference}`, '--namespace', namespace])
    await this.settled()
  }

  /** Waits until every pod is of the newest kind and ready, and no older one is left. */
  async settled(): Promise<void> {
    for (const { namespace, workload } of [BROKER, AGENT]) {
      const args = ['rollout', 'status', workload, '--namespace', namespace, '--timeout=120s']
      await run(this.#cluster.tool('kubectl'), ['--kubeconfig', this.#cluster.adminKubeconfig, ...args], {
        timeout: TIMEOUT_MS,
      })
    }
    await waitFor('kubelet to know the driver on every node', async () => {
      const nodes = await this.#cluster.api<{ items: CsiNode[] }>('GET', '/apis/storage.k8s.io/v1/csinodes')
      return nodes.items.every(({ spec }) => spec.drivers?.some(({ name }) => name === CSI_DRIVER))
    })
  }

  async #apply(verb: 'install' | 'upgrade', tag: string): Promise<void> {
    const args = [verb, RELEASE, CHART, '--values', '-', '--set', `image.tag=${tag}`, ...THEIRS_TOO]
    await this.#run(args, JSON.stringify(this.#values))
    await this.settled()
  }

  #run(args: readonly string[], stdin?: string): Promise<string> {
    return run(this.#helm, this.#arguments(args), { timeout: TIMEOUT_MS, ...(stdin !== undefined && { stdin }) })
  }

  #arguments(args: readonly string[]): string[] {
    return [...args, '--namespace', SYSTEM, '--kubeconfig', this.#cluster.adminKubeconfig]
  }
}

interface CsiNode {
  readonly spec: { readonly drivers?: readonly { readonly name: string }[] | null }
}
