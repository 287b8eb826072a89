import type { Clock } from '../core/runtime/clock.ts'
import { Lifecycle } from '../core/runtime/lifecycle.ts'
import type { Log } from '../core/runtime/log.ts'
import { startOperationsServer } from '../core/runtime/operations-server.ts'
import type { Random } from '../core/runtime/random.ts'
import { bootstrapBundles, bootstrapTrust, newerTrust } from './broker-client/bootstrap.ts'
import { BrokerLink } from './broker-client/broker-link.ts'
import { SavedBundles } from './broker-client/saved-bundles.ts'
import type { AgentConfig } from './config.ts'
import type { CsiDriver } from './csi/csi-driver.ts'
import type { DeclaredWorkloads } from './directory/declared-workloads.ts'
import { Observation } from './observe.ts'
import { notReadyReasons } from './readiness.ts'
import { Rotation } from './rotation/rotation.ts'
import { declaredWorkloads } from './serve-declared.ts'
import { servePods } from './serve-pods.ts'
import { AGENT_VERSION } from './version.ts'
import { WorkloadEndpoint } from './workload-api/workload-endpoint.ts'
import { type ServedWorkloads, Workloads } from './workloads/workloads.ts'

/** What the agent takes from outside. */
export interface AgentSurroundings {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

/** A running agent. */
export interface Agent {
  /** Port of the operations server, where there is one. */
  readonly operationsPort: number | undefined
  /** Why it cannot serve now; empty when it can. */
  notReady(): readonly string[]
  /** Ends streams with Unavailable, closes sockets, leaves files and mounts. @returns what failed to stop in time. */
  stop(): Promise<readonly string[]>
}

const STOP_MS = 10_000

/**
 * Starts the agent: what a former run left is served before the broker is asked for anything, and without it.
 *
 * @throws {@link IdentityError} `bundle_invalid` without a bundle to begin with.
 */
export async function startAgent(config: AgentConfig, { clock, random, log }: AgentSurroundings): Promise<Agent> {
  const { trustDomain, tokenFile, nodeName, bootstrapBundleFile: bootstrapFile } = config
  const saved = new SavedBundles(config.stateDirectory, trustDomain)
  const sources = () => ({ trustDomain, bootstrapFile, saved, now: clock.now() })
  const { trust, served: lastWord } = await bootstrapTrust(sources())
  const lifecycle = new Lifecycle(clock)
  const observation = new Observation(log, clock)

  const rotation = new Rotation({ target: () => workloads, observer: observation.rotation, clock, random })
  const link = new BrokerLink(
    { trustDomain, address: addressOf(config.broker.address), nodeName, tokenFile, agentVersion: AGENT_VERSION },
    trust,
    {
      target: {
        enforce: (newest, signal) => saved.writeAround(newest, () => workloads.enforce(newest, signal)),
        renewSignedBy: (authorityKeyIds, signal) => workloads.renewSignedBy(authorityKeyIds, signal),
        serialNumbers: () => workloads.serialNumbers(),
      },
      observer: {
        ...observation.link,
        connected: () => {
          observation.link.connected()
          rotation.brokerReturned()
        },
      },
      reloadTrust: async (held) => newerTrust(held, await bootstrapBundles(sources()), clock.now()),
      clock,
      random,
    },
  )
  const endpoint: WorkloadEndpoint = new WorkloadEndpoint({
    identityOf: (id) => workloads.identityOf(id),
    ownerOf: (id) => workloads.ownerOf(id),
    clock,
    ended: (call) => observation.workloadApi(call),
    refused: (id, limit) => observation.connectionRefused(workloads.podOf(id), limit),
  })
  const workloads: Workloads = new Workloads(lastWord, {
    broker: link,
    renewals: rotation,
    endpoint,
    clock,
    random,
    heldUp: (id, pod, error) => observation.heldUp(id, pod, error),
  })
  // What is new is timed on its way in.
  const served: ServedWorkloads = {
    has: (id) => workloads.has(id),
    add: async (request) => {
      const askedAtMs = clock.monotonicMs()
      await workloads.add(request)
      observation.firstPublish(clock.monotonicMs() - askedAtMs)
    },
    recover: (request) => workloads.recover(request),
    refreshToken: (...fresh) => workloads.refreshToken(...fresh),
    remove: (id) => workloads.remove(id),
  }
  observation.read({
    isConnected: () => link.isConnected,
    ownLeftMs: () => link.ownLeftMs,
    workloads: () => workloads.size,
    expired: () => rotation.expiredCount(),
    unwritable: () => workloads.unwritable,
    unserved: () => declared?.unserved ?? 0,
    leastLeftMs: () => rotation.leastLeftMs(),
    connections: () => endpoint.connectionCount,
  })
  let csi: CsiDriver | undefined
  let declared: DeclaredWorkloads | undefined
  const notReady = () =>
    notReadyReasons({
      isConnected: link.isConnected,
      failure: observation.lastFailure,
      ownLeftMs: link.ownLeftMs,
      isRegistered: config.csi && (csi?.isRegistered() ?? false),
    })

  const stopStarted = () => lifecycle.stop(STOP_MS)
  try {
    const operations =
      config.operations &&
      (await startOperationsServer(config.operations.listen, { registry: observation.registry, notReady }))
    if (operations) lifecycle.add('operations', () => operations.close())
    lifecycle.add('broker link', () => link.stop())
    lifecycle.add('workloads', () => workloads.close())
    rotation.start()
    lifecycle.add('rotation', () => rotation.stop())

    const folder =
      config.workloads &&
      (await declaredWorkloads(config.workloads, config.stateDirectory, { workloads: served, clock, log }))
    declared = folder
    await folder?.recover()
    const driver = await servePods(config, {
      workloads: served,
      clock,
      log,
      ended: (call) => observation.csi(call),
      version: AGENT_VERSION,
    })
    csi = driver
    if (driver) lifecycle.add('csi', () => driver.close())
    link.start()
    folder?.start()
    if (folder) lifecycle.add('declared workloads', () => folder.stop())
    return { operationsPort: operations?.port, notReady, stop: stopStarted }
  } catch (error) {
    await stopStarted()
    throw error
  }
}

function addressOf({ host, port }: AgentConfig['broker']['address']): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
