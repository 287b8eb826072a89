import { readFile } from 'node:fs/promises'
import type { Cluster } from '../cluster/cluster.ts'
import { removeDefinition } from './custom-resources.ts'
import { Diagnosis } from './diagnosis.ts'
import { installCountersign, type InstallOptions, type Installation } from './installation.ts'

const SYSTEM = 'countersign-system'
const VIEWER = 'countersign-viewer'

/** An installation by processes, with all that the `countersign` command looks for, and the command itself. */
export class DiagnosedInstallation extends Diagnosis {
  readonly installation: Installation
  readonly #cluster: Cluster

  private constructor(cluster: Cluster, installation: Installation) {
    super(cluster.adminKubeconfig, () => ['--broker', installation.broker.adminAddress])
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
    await this.#cluster.tryKubectl(['delete', '--ignore-not-found', 'csidriver/csi.countersign.dev'])
    await this.#cluster.deleteNamespace(SYSTEM)
    await this.#cluster.deleteNamespace('countersign-agent')
    await removeDefinition(this.#cluster, 'identitytemplates.countersign.dev')
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
