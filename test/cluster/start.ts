import { mkdir } from 'node:fs/promises'
import { elapsed, type Log } from './base/log.ts'
import { waitFor } from './base/wait.ts'
import { cleanUp } from './clean-up.ts'
import { Cluster } from './cluster.ts'
import { callApi } from './components/api-request.ts'
import { importImage, startContainerd } from './components/containerd.ts'
import { startControlPlane } from './components/control-plane.ts'
import { DNS_OBJECTS, startDns } from './components/dns.ts'
import { startKubeProxy } from './components/kube-proxy.ts'
import { startKubelet } from './components/kubelet.ts'
import { createPki } from './components/pki.ts'
import { createImages } from './images/catalog.ts'
import { NODES, type NodeLayout } from './layout.ts'
import { keepLogs } from './logs.ts'
import { createCgroups } from './machine/cgroups.ts'
import { missingDirs } from './machine/covered-dirs.ts'
import { whileLocked } from './machine/lock.ts'
import { createControlPlaneNamespace, createNodeNamespaces } from './machine/namespaces.ts'
import { connectControlPlane, connectNode } from './machine/network.ts'
import { ensurePackages } from './machine/packages.ts'
import { identify, isAlive, type ProcessId } from './machine/process-table.ts'
import { type ClusterSettings, isInUse, readState, type State, writeState } from './machine/state.ts'
import { readSysctls } from './machine/sysctls.ts'
import { binariesFrom, buildTools } from './tools/build.ts'

export interface StartOptions extends Partial<ClusterSettings> {
  log?: Log
  /** Stops the start, and undoes what it did so far. */
  signal?: AbortSignal
  /**
   * Leave the cluster up when this process ends. Otherwise a cluster whose process died is taken for left over, and
   * the next start removes it.
   */
  detached?: boolean
}

/**
 * Starts a cluster of two nodes and returns once both are ready. Installs and builds what is missing first.
 *
 * @throws when a cluster is up already: there is at most one on a machine.
 */
export async function startCluster(options: StartOptions = {}): Promise<Cluster> {
  const { log = () => undefined, signal } = options
  await ensurePackages(log)
  const binaries = await buildTools(log, signal)
  await waitForTurn(log, signal)
  return whileLocked(log, async () => {
    const before = await readState()
    if (before && (await isInUse(before)))
      throw new Error('a test cluster is up already: stop it by `npm run cluster -- down`')
    if (before) log('removing what a cluster left behind that was not stopped')
    // Even without a state: its folder may have been removed by hand.
    await cleanUp()
    signal?.throwIfAborted()

    try {
      return await start(binaries, options, log)
    } catch (error) {
      const logs = await keepLogs()
      if (logs !== undefined) log(`the start failed; the components' logs are in ${logs}`)
      await cleanUp()
      throw error
    }
  })
}

/** A cluster that belongs to another process ends with it; one that was started by hand does not end by itself. */
async function waitForTurn(log: Log, signal?: AbortSignal): Promise<void> {
  let said = false
  await waitFor(
    'the cluster of another process to end',
    async () => {
      if (signal?.aborted) return true
      const state = await readState()
      if (!state?.owner || !(await isAlive(state.owner))) return true
      if (!said) log(`process ${state.owner.pid} has a test cluster, waiting for its end …`)
      said = true
      return false
    },
    { timeout: 60 * 60_000, interval: 500 },
  )
  signal?.throwIfAborted()
}

async function start(binaries: Record<string, string>, options: StartOptions, log: Log): Promise<Cluster> {
  const { signal, detached = false, apiServerArgs = [], kubeletConfig = {}, kubeletRoots = {} } = options
  const begin = performance.now()
  const step = async <T>(name: string, action: () => Promise<T>): Promise<T> => {
    const result = await action()
    signal?.throwIfAborted()
    log(`${elapsed(begin).padStart(7)}  ${name}`)
    return result
  }

  const owner = detached ? null : ((await identify(process.pid)) ?? null)
  const state: State = {
    owner,
    phase: 'starting',
    nodes: {},
    createdDirs: missingDirs(),
    sysctls: await readSysctls(),
    binaries,
    settings: { apiServerArgs, kubeletConfig, kubeletRoots },
  }
  await writeState(state)

  const tool = binariesFrom(binaries)
  const made = Promise.all([createPki(), createImages(tool)])
  // Should the namespaces fail first, nobody would be left to hear of a failure here.
  made.catch(() => undefined)
  const controlPlane = await step('namespaces and network', () => createMachine(state))
  const [, images] = await step('certificates and images', () => made)

  await Promise.all([
    step('control plane', () => startControlPlane(tool, controlPlane, apiServerArgs)),
    ...NODES.map((node) => step(`containerd of ${node.name}`, () => startRuntime(node, state, images))),
  ])
  await step('DNS objects', createDnsObjects)
  const cluster = new Cluster(state)
  await Promise.all([
    step('DNS', () => startDns(tool, { networkOf: controlPlane.pid })),
    ...NODES.map(async (node) => {
      const { placement, kubeletRoot } = cluster.node(node.name)
      await startKubeProxy(tool, node, placement)
      await startKubelet(tool, node, placement, { root: kubeletRoot, config: kubeletConfig })
      await step(`${node.name} ready`, () => cluster.node(node.name).waitUntilReady())
    }),
    waitFor('the default ServiceAccount', async () => {
      await callApi('GET', '/api/v1/namespaces/default/serviceaccounts/default')
      return true
    }),
  ])
  state.phase = 'up'
  await writeState(state)
  return cluster
}

async function createMachine(state: State): Promise<ProcessId> {
  await createCgroups()
  const controlPlane = await createControlPlaneNamespace()
  state.controlPlane = controlPlane
  await writeState(state)
  await connectControlPlane(controlPlane)
  for (const node of NODES) {
    const holder = await createNodeNamespaces(node.name)
    state.nodes[node.name] = holder
    await connectNode(node, holder, controlPlane)
  }
  await writeState(state)
  return controlPlane
}

async function startRuntime(node: NodeLayout, state: State, images: readonly string[]): Promise<void> {
  await mkdir(node.dir, { recursive: true })
  const { placement } = new Cluster(state).node(node.name)
  await startContainerd(node, placement)
  for (const image of images) await importImage(node, placement, image)
}

async function createDnsObjects(): Promise<void> {
  const paths: Record<string, string> = {
    ClusterRole: '/apis/rbac.authorization.k8s.io/v1/clusterroles',
    ClusterRoleBinding: '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings',
    Service: '/api/v1/namespaces/kube-system/services',
    EndpointSlice: '/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices',
  }
  for (const object of DNS_OBJECTS) {
    // The namespace, and the API server's own bootstrap, come a moment after it calls itself ready.
    await waitFor(`${object.kind} ${object.metadata.name}`, async () => {
      await callApi('POST', paths[object.kind] ?? '', object)
      return true
    })
  }
}
