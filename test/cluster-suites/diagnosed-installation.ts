import { readFile } from 'node:fs/promises'
import type { CheckResult } from '../../cli/checks/run-checks.ts'
import type { Step } from '../../cli/explain/explanation.ts'
import { waitFor } from '../cluster/base/wait.ts'
import type { Cluster } from '../cluster/cluster.ts'
import { type CliEnd, runCli } from '../fakes/run-cli.ts'
import { installCountersign, type InstallOptions, type Installation } from './installation.ts'

/** What `countersign check` says, by the id of the check. */
export interface Checked {
  readonly code: number
  readonly text: string
  of(id: string): CheckResult
  readonly failed: readonly string[]
}

/** What `countersign explain pod` says. */
export interface Explained {
  readonly code: number
  readonly hasIdentity: boolean
  readonly summary: string
  readonly steps: readonly Step[]
  /** Everything that did not go well, in words. */
  readonly trouble: string
}

const SYSTEM = 'countersign-system'
const VIEWER = 'countersign-viewer'

/** An installation by processes, with all that the `countersign` command looks for, and the command itself. */
export class DiagnosedInstallation {
  readonly installation: Installation
  readonly #cluster: Cluster

  private constructor(cluster: Cluster, installation: Installation) {
    this.#cluster = cluster
    this.installation = installation
  }

  static async start(cluster: Cluster, options: InstallOptions = {}): Promise<DiagnosedInstallation> {
    await cluster.createNamespace(SYSTEM)
    await cluster.apply(operators())
    const installation = await installCountersign(cluster, options)
    const diagnosed = new DiagnosedInstallation(cluster, installation)
    await diagnosed.publishBundle(await diagnosed.bundleDocument())
    return diagnosed
  }

  /** Runs the command as an administrator who names the broker by its address. */
  run(...args: readonly string[]): Promise<CliEnd> {
    return runCli([
      '--kubeconfig',
      this.#cluster.adminKubeconfig,
      '--broker',
      this.installation.broker.adminAddress,
      ...args,
    ])
  }

  async check(...args: readonly string[]): Promise<Checked> {
    const { code, out, err } = await this.run('--json', '--request-timeout', '5s', 'check', ...args)
    if (out === '') throw new Error(`check said nothing but: ${err}`)
    const { checks } = JSON.parse(out) as { checks: CheckResult[] }
    return {
      code,
      text: out,
      of(id) {
        const found = checks.find((check) => check.id === id)
        if (!found) throw new Error(`there is no check ${id}`)
        return found
      },
      failed: checks.filter(({ outcome }) => outcome === 'fail').map(({ id }) => id),
    }
  }

  /** Looks until the check `id` says all of `words`. */
  async checkSays(id: string, ...words: readonly string[]): Promise<CheckResult> {
    let last = ''
    return waitFor(
      `check ${id} to say ${words.join(', ')}`,
      async () => {
        const result = (await this.check()).of(id)
        last = JSON.stringify(result)
        if (words.every((word) => last.includes(word))) return result
        throw new Error(last)
      },
      { interval: 1_000, timeout: 90_000 },
    )
  }

  async explain(namespace: string, name: string): Promise<Explained> {
    const { code, out, err } = await this.run('--json', '-n', namespace, 'explain', 'pod', name)
    if (out === '') throw new Error(`explain said nothing but: ${err}`)
    const explanation = JSON.parse(out) as Omit<Explained, 'code' | 'trouble'>
    const trouble = explanation.steps
      .filter(({ outcome }) => outcome === 'fail' || outcome === 'warn')
      .map(({ name, found, code, remedy }) => [name, code, found, remedy].join(' | '))
    return { ...explanation, code, trouble: trouble.join('\n') }
  }

  /** Explains until the trouble has all of `words`. */
  async explanationSays(namespace: string, name: string, ...words: readonly string[]): Promise<Explained> {
    return waitFor(
      `explain pod ${name} to say ${words.join(', ')}`,
      async () => {
        const explained = await this.explain(namespace, name)
        if (words.every((word) => explained.trouble.includes(word))) return explained
        throw new Error(`${explained.summary}\n${explained.trouble}`)
      },
      { interval: 1_000, timeout: 90_000 },
    )
  }

  async bundleDocument(): Promise<string> {
    return readFile(this.installation.broker.bundleDocument, 'utf8')
  }

  /** Puts a document where operators and agents look for the trust bundle. */
  async publishBundle(document: string): Promise<void> {
    await this.#cluster.apply({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: {
        namespace: 'countersign-agent',
        name: 'countersign-trust-bundle',
        annotations: { 'countersign.dev/trust-domain': this.installation.trustDomain },
      },
      data: { 'bundle.json': document },
    })
  }

  /** Restores who may ask the broker. */
  async restoreOperators(): Promise<void> {
    await this.#cluster.apply(operators())
  }

  /** What was applied goes, and the agents last: only they can unpublish volumes. */
  async stop(): Promise<void> {
    await this.installation.stop()
    await this.#cluster.tryKubectl([
      'delete',
      '--ignore-not-found',
      `clusterrole/${VIEWER}`,
      'clusterrolebinding/countersign-cli',
    ])
    await this.#cluster.tryKubectl([
      'delete',
      '--ignore-not-found',
      'csidriver/csi.countersign.dev',
      'crd/identitytemplates.countersign.dev',
    ])
    await this.#cluster.deleteNamespace(SYSTEM)
    await this.#cluster.deleteNamespace('countersign-agent')
  }
}

/** Who may ask the broker: what the chart makes, too. */
function operators(): object[] {
  const metadata = { name: 'countersign-cli', namespace: SYSTEM }
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name: VIEWER },
      rules: [{ apiGroups: ['countersign.dev'], resources: ['*'], verbs: ['get', 'list'] }],
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name: 'countersign-cli' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: VIEWER },
      subjects: [{ kind: 'ServiceAccount', ...metadata }],
    },
  ]
}
