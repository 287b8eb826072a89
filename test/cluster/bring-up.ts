import { mkdir } from 'node:fs/promises'
import { throwIfAborted } from './base/cancellation.ts'
import { elapsed, type Log } from './base/log.ts'
import { waitFor } from './base/wait.ts'
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
import { createCgroups } from './machine/cgroups.ts'
import { missingDirs } from './machine/covered-dirs.ts'
import { createControlPlaneNamespace, createNodeNamespaces } from './machine/namespaces.ts'
import { connectControlPlane, connectNode } from './machine/network.ts'
import type { ProcessId } from './machine/process-table.ts'
import { type ClusterSettings, type State, writeState } from './machine/state.ts'
import { readSysctls } from './machine/sysctls.ts'
import { binariesFrom } from './tools/build.ts'

// Made by the controller-manager; without it no pod can be made.
const DEFAULT_SERVICE_ACCOUNT = '/api/v1/namespaces/default/serviceaccounts/default'

export interface Plan {
  owner: ProcessId | null
  binaries: Record<string, string>
  settings: ClusterSettings
  log: Log
}

/**
 * Starts every part of a cluster on a machine that has nothing of it, and returns once both nodes are ready.
 *
 * When it fails, whatever was begun in parallel has come to its end too, so that it can be undone.
 */
export async function bringUp({ owner, binaries, settings, log }: Plan): Promise<Cluster> {
  const begin = performance.now()
  const step = async <T>(name: string, action: () => Promise<T>): Promise<T> => {
    const result = await action()
    throwIfAborted()
    log(`${elapsed(begin).padStart(7)}  ${name}`)
    return result
  }

  const state: State = {
    owner,
    phase: 'starting',
    nodes: {},
    createdDirs: missingDirs(),
    sysctls: await readSysctls(),
    binaries,
    settings,
  }
  await writeState(state)

  const tool = binariesFrom(binaries)
  const [controlPlane, images] = await all([
    step('namespaces and network', () => createMachine(state)),
    step('images', () => createImages(tool)),
    step('certificates', createPki),
  ])
  await all([
    step('control plane', () => startControlPlane(tool, controlPlane, settings.apiServerArgs)),
    ...NODES.map((node) => step(`containerd of ${node.name}`, () => startRuntime(node, state, images))),
  ])
  await step('DNS objects', createDnsObjects)
  const cluster = new Cluster(state)
  await all([
    step('DNS', () => startDns(tool, { networkOf: controlPlane.pid })),
    ...NODES.map(async (node) => {
      const { placement, kubeletRoot } = cluster.node(node.name)
      await startKubeProxy(tool, node, placement)
      await startKubelet(tool, node, placement, { root: kubeletRoot, config: settings.kubeletConfig })
      await step(`${node.name} ready`, () => cluster.node(node.name).waitUntilReady())
    }),
    step('controllers', () =>
      waitFor('the default ServiceAccount', () => callApi<object>('GET', DEFAULT_SERVICE_ACCOUNT)),
    ),
  ])
  state.phase = 'up'
  await writeState(state)
  return cluster
}

/** As `Promise.all`, but a failure is told only once none of them runs any more. */
async function all<T extends readonly unknown[] | []>(
  promises: T,
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  try {
    return await Promise.all(promises)
  } finally {
    await Promise.allSettled(promises)
  }
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
