import { join } from 'node:path'
import { run, type RunResult, tryRun } from './base/run.ts'
import { waitFor, type WaitOptions } from './base/wait.ts'
import { cleanUp } from './clean-up.ts'
import { ClusterNode } from './cluster-node.ts'
import { type ApiResponse, callApi, requestApi } from './components/api-request.ts'
import { startApiServer, stopApiServer } from './components/control-plane.ts'
import { writeImage } from './images/catalog.ts'
import type { ImageSpec } from './images/oci-archive.ts'
import {
  ADMIN_KUBECONFIG,
  API_SERVER_URL,
  CA_FILE,
  LOG_DIR,
  NETWORK,
  type NodeName,
  NODES,
  SERVICE_ACCOUNT_ISSUER,
  STATE_DIR,
} from './layout.ts'
import { whileLocked } from './machine/lock.ts'
import type { State } from './machine/state.ts'
import { createPlaceholderPod, createToken, type PlaceholderOptions, type TokenOptions } from './tokens.ts'
import { binariesFrom } from './tools/build.ts'
import { createVolume, deleteVolumeFolder } from './volumes.ts'

/** A running cluster of two nodes: what a test needs of it. */
export class Cluster {
  /** A kubeconfig of `system:masters`. */
  readonly adminKubeconfig = ADMIN_KUBECONFIG
  readonly apiServerUrl = API_SERVER_URL
  /** The CA of the API server's certificate, PEM. */
  readonly caFile = CA_FILE
  /** The `iss` of ServiceAccount tokens. */
  readonly issuer = SERVICE_ACCOUNT_ISSUER
  /** This machine, as pods, nodes and the API server reach it: what a test listens on for them. */
  readonly hostIp = NETWORK.host
  readonly logDir = LOG_DIR
  readonly nodes: readonly ClusterNode[]
  readonly #state: State

  constructor(state: State) {
    this.#state = state
    this.nodes = NODES.map((layout) => new ClusterNode(layout, state))
  }

  node(name: NodeName): ClusterNode {
    const node = this.nodes.find((node) => node.name === name)
    if (!node) throw new Error(`there is no node ${name}`)
    return node
  }

  /** The path of a program that was built for the cluster: `kubectl`, `csi-sanity`, `spiffe-probe`, … */
  tool(name: string): string {
    return binariesFrom(this.#state.binaries)(name)
  }

  /** Runs kubectl as admin and returns what it printed; fails unless it exits 0. */
  async kubectl(args: readonly string[], stdin?: string): Promise<string> {
    return run(this.tool('kubectl'), this.#kubectlArgs(args), stdin === undefined ? {} : { stdin })
  }

  /** Runs kubectl whatever its exit code. */
  async tryKubectl(args: readonly string[], stdin?: string): Promise<RunResult> {
    return tryRun(this.tool('kubectl'), this.#kubectlArgs(args), stdin === undefined ? {} : { stdin })
  }

  /** Applies YAML, or objects, on the server's side. */
  async apply(manifest: string | object | readonly object[]): Promise<void> {
    const items = Array.isArray(manifest) ? { apiVersion: 'v1', kind: 'List', items: manifest } : manifest
    const text = typeof manifest === 'string' ? manifest : JSON.stringify(items)
    await this.kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], text)
  }

  /** One call of the Kubernetes API as admin; anything but 2xx fails. Much faster than kubectl. */
  async api<T>(method: string, path: string, body?: unknown): Promise<T> {
    return callApi<T>(method, path, body)
  }

  /** As {@link api}, with the status to look at. */
  async request(method: string, path: string, body?: unknown): Promise<ApiResponse> {
    return requestApi(method, path, body)
  }

  /** The keys that sign ServiceAccount tokens, as the API server publishes them. */
  async jwks(): Promise<{ keys: Record<string, unknown>[] }> {
    return callApi('GET', '/openid/v1/jwks')
  }

  /** A ServiceAccount token by the TokenRequest API; bound to a pod, it carries the pod's node. */
  async createToken(options: TokenOptions): Promise<string> {
    return createToken(options)
  }

  /**
   * A pod on `node` that does nothing, for a process that stands in for it (an agent that a test spawns); makes its
   * ServiceAccount too. Returns the pod's name. {@link createToken} with it gives what such a pod would have.
   */
  async createPlaceholderPod(options: PlaceholderOptions): Promise<string> {
    return createPlaceholderPod(options)
  }

  /** Makes a namespace and waits until pods can be made in it. */
  async createNamespace(name: string, labels: Record<string, string> = {}): Promise<void> {
    await this.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } })
    await waitFor(`the default ServiceAccount of ${name}`, async () => {
      await callApi('GET', `/api/v1/namespaces/${name}/serviceaccounts/default`)
      return true
    })
  }

  /** Deletes a namespace and waits until all that was in it is gone. */
  async deleteNamespace(name: string): Promise<void> {
    // Without the grace period: busybox as first process does not listen to SIGTERM.
    await this.kubectl(['delete', 'pods', '--all', '--namespace', name, '--grace-period=1', '--wait=false'])
    await this.kubectl(['delete', 'namespace', name, '--ignore-not-found', '--timeout=50s'])
  }

  /** Makes a PersistentVolume that both nodes can mount, of the default StorageClass. */
  async createVolume(name: string, size = '10Gi'): Promise<void> {
    await this.apply(await createVolume(name, size))
  }

  /** Removes it and all that is in it; its claim should be gone by then. */
  async deleteVolume(name: string): Promise<void> {
    await this.kubectl(['delete', 'persistentvolume', name, '--ignore-not-found', '--timeout=30s'])
    await deleteVolumeFolder(name)
  }

  async pod(namespace: string, name: string): Promise<Pod> {
    return callApi<Pod>('GET', `/api/v1/namespaces/${namespace}/pods/${name}`)
  }

  /** Waits until `accept` is true of the pod, and returns it. */
  async waitForPod(
    namespace: string,
    name: string,
    accept: (pod: Pod) => boolean,
    options?: WaitOptions,
  ): Promise<Pod> {
    let last: Pod | undefined
    try {
      return await waitFor(
        `pod ${namespace}/${name}`,
        async () => {
          last = await this.pod(namespace, name)
          return accept(last) && last
        },
        options,
      )
    } catch (error) {
      const events = await this.tryKubectl(['events', '--namespace', namespace, '--for', `pod/${name}`])
      throw new Error(`pod ${namespace}/${name} is not as awaited\n${JSON.stringify(last?.status)}\n${events.stdout}`, {
        cause: error,
      })
    }
  }

  /** Waits until all containers of the pod are ready. */
  async waitUntilPodReady(namespace: string, name: string, options?: WaitOptions): Promise<Pod> {
    return this.waitForPod(namespace, name, isReady, options)
  }

  /** Runs a command in a running container; the result's code is the command's. */
  async exec(namespace: string, pod: string, command: readonly string[], container?: string): Promise<RunResult> {
    const inContainer = container === undefined ? [] : ['--container', container]
    return this.tryKubectl(['exec', '--namespace', namespace, pod, ...inContainer, '--', ...command])
  }

  async podLogs(namespace: string, pod: string, args: readonly string[] = []): Promise<string> {
    return this.kubectl(['logs', '--namespace', namespace, pod, ...args])
  }

  /** Builds an image out of local files and makes it known to both nodes. */
  async addImage(spec: ImageSpec): Promise<void> {
    await this.importImage(await writeImage(spec))
  }

  /** Makes the image in an OCI archive known to both nodes. */
  async importImage(archive: string): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.importImage(archive)))
  }

  /** Gives an image that both nodes have another name too, for a rollout to it. */
  async tagImage(from: string, to: string): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.tagImage(from, to)))
  }

  /** Kills the API server, as in a crash. */
  async stopApiServer(): Promise<void> {
    await stopApiServer()
  }

  /** Starts the API server again and returns once it is ready. */
  async startApiServer(): Promise<void> {
    const { binaries, controlPlane, settings } = this.#state
    if (!controlPlane) throw new Error('the cluster has no control plane')
    await startApiServer(binariesFrom(binaries), controlPlane, settings.apiServerArgs)
  }

  /** Ends the cluster and all that runs in it, and leaves the machine as it was. */
  async stop(): Promise<void> {
    await whileLocked(() => undefined, cleanUp)
  }

  #kubectlArgs(args: readonly string[]): string[] {
    return ['--kubeconfig', ADMIN_KUBECONFIG, '--cache-dir', join(STATE_DIR, 'kubectl-cache'), ...args]
  }
}

/** The parts of a Pod that tests look at. */
export interface Pod {
  metadata: { name: string; namespace: string; uid: string; deletionTimestamp?: string }
  spec: { nodeName?: string }
  status: {
    phase?: string
    podIP?: string
    conditions?: { type: string; status: string }[]
    containerStatuses?: { name: string; ready: boolean; restartCount: number }[]
  }
}

export function isReady(pod: Pod): boolean {
  return pod.status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false
}
