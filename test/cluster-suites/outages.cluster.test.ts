import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { attachCluster } from '../cluster/attach.ts'
import { waitFor } from '../cluster/base/wait.ts'
import { type Cluster, isReady } from '../cluster/cluster.ts'
import { SPIFFE_PROBE_IMAGE } from '../cluster/images/catalog.ts'
import type { NodeName } from '../cluster/layout.ts'
import type { AgentProcess } from './agent-process.ts'
import { createNamespaceWith, identityPod, type IdentityPodOptions, templateFor } from './identity-pod.ts'
import { installCountersign, type Installation } from './installation.ts'
import { handshake } from './mutual-tls.ts'
import { Scrape } from './metrics.ts'
import { mountedTargets, type PodVolume, volumesOf } from './pod-volume.ts'
import { SmallDisk } from './small-disk.ts'

const NAMESPACE = 'outages-suite'
const SHORT_TTL_MS = 12_000
/** 20 volumes on node-a. */
const CROWD = ['crowd-0', 'crowd-1', 'crowd-2', 'crowd-3']
const VOLUMES_EACH = 5
/** What takes minutes runs where it is asked for. */
const SOAK = process.env['COUNTERSIGN_SOAK'] ? [{ minutes: 3 }] : []

let cluster: Cluster
let installation: Installation
let disk: SmallDisk
let crowd: PodVolume[]
let reader: PodVolume
let peer: PodVolume
let left: PodVolume
let heldByLeft = ''

const pod = (name: string, node: NodeName, serviceAccount: string, change: Partial<IdentityPodOptions> = {}) =>
  identityPod({ namespace: NAMESPACE, name, node, serviceAccount, ...change })
const serialsOf = (volumes: readonly PodVolume[]) => Promise.all(volumes.map((volume) => volume.serialNumber()))
const agentA = () => installation.agent('node-a')
/** An event of a pod makes kubelet look after it, and so republish, now instead of within 90 seconds. */
const nudge = (name: string) =>
  cluster.kubectl(['annotate', 'pod', name, '--namespace', NAMESPACE, '--overwrite', `nudged-at=${performance.now()}`])

beforeAll(async () => {
  cluster = await attachCluster()
  disk = await SmallDisk.mount()
  installation = await installCountersign(cluster, {
    issuance: { minTtl: '2s' },
    templates: [
      templateFor('usual', '1h'),
      templateFor('short', `${SHORT_TTL_MS}ms`),
      templateFor('minute', '1m'),
      templateFor('eight-minutes', '8m'),
    ],
    ledgerDirectory: disk.path,
  })
  await createNamespaceWith(cluster, NAMESPACE, ['usual', 'short', 'minute', 'eight-minutes'])
  const names = [...CROWD, 'reader', 'peer', 'left', 'follower']
  await cluster.apply([
    ...CROWD.map((name) => pod(name, 'node-a', 'usual', { volumes: VOLUMES_EACH })),
    pod('reader', 'node-a', 'short'),
    pod('peer', 'node-b', 'short'),
    pod('left', 'node-b', 'minute'),
    pod('follower', 'node-a', 'usual', { image: SPIFFE_PROBE_IMAGE, args: ['-timeout', '10m'] }),
  ])
  await Promise.all(names.map((name) => cluster.waitUntilPodReady(NAMESPACE, name)))
  crowd = (await Promise.all(CROWD.map((name) => volumesOf(cluster, NAMESPACE, name, VOLUMES_EACH)))).flat()
  const [one, other, third] = await Promise.all(
    ['reader', 'peer', 'left'].map((name) => volumesOf(cluster, NAMESPACE, name)),
  )
  if (!one?.[0] || !other?.[0] || !third?.[0]) throw new Error('volumes are missing')
  ;[reader, peer, left] = [one[0], other[0], third[0]]
})

afterAll(async () => {
  await cluster.startApiServer().catch(() => undefined)
  // After an outage of the API server a kubelet may hear of nothing for a minute; a new one asks at once.
  await Promise.all(cluster.nodes.map((node) => node.restartKubelet()))
  await cluster.deleteNamespace(NAMESPACE)
  await installation?.stop()
  await disk?.unmount()
})

describe('an agent that was killed', () => {
  test('comes back to its volumes within the life of a kubelet that has noticed nothing', async () => {
    heldByLeft = await left.serialNumber()
    const agent = installation.agent('node-b')
    await agent.kill()
    await agent.start()
    expect(await left.fetchSerialNumber()).toBe(heldByLeft)
    await agent.registered()
    await nudge('peer')
  })

  test('serves 20 volumes again at once, with no publish and no review of their tokens', async () => {
    const agent = agentA()
    const before = await serialsOf(crowd)
    // Without kubelet there can be no publish.
    await agent.node.stopKubelet()
    await agent.kill()
    expect(await serialsOf(crowd)).toEqual(before)
    await expect(crowd[0]?.fetchSerialNumber()).rejects.toThrow('the call did not reach the other side')
    const issued = await workloadsIssued()
    const reviews = await tokenReviews()

    const start = performance.now()
    await agent.start()
    expect(await serialsOf(crowd)).toEqual(before)
    expect(await Promise.all(crowd.map((volume) => volume.fetchSerialNumber()))).toEqual(before)
    process.stdout.write(`20 volumes were served ${Math.round(performance.now() - start)} ms after the agent's start\n`)

    expect(await agent.csiCalls('NodePublishVolume')).toBe(0)
    expect(await mountedOnce(agent)).toHaveLength(CROWD.length * VOLUMES_EACH + 2)
    await waitFor(
      'the agent to be connected',
      async () => (await agent.metrics()).sum('countersign_agent_broker_connected') === 1,
    )
    // The volumes of node-b go on meanwhile; the crowd's own SVIDs are not asked for.
    expect((await workloadsIssued()) - issued).toBeLessThanOrEqual(4)
    // The agent's own, and those of node-b.
    expect((await tokenReviews()) - reviews).toBeLessThanOrEqual(5)
  })

  test('publishes nothing twice when kubelet is back as well, and renews with its tokens', async () => {
    const agent = agentA()
    const heldByReader = await reader.serialNumber()
    await agent.node.restartKubelet()
    await agent.registered()
    await Promise.all([...CROWD, 'reader', 'follower'].map(nudge))
    const published = await waitFor('kubelet to publish all volumes again', async () => {
      const calls = await agent.csiCalls('NodePublishVolume')
      return calls >= CROWD.length * VOLUMES_EACH + 2 && calls
    })
    await reader.renewedAfter(heldByReader)
    expect(published).toBeGreaterThanOrEqual(22)
    expect(await mountedOnce(agent)).toHaveLength(CROWD.length * VOLUMES_EACH + 2)
    const { status } = await cluster.pod(NAMESPACE, 'crowd-0')
    expect(status.containerStatuses).toMatchObject([{ restartCount: 0 }])
  })

  // The life is short; what is found and what is done about it does not depend on that.
  test('away past half of a life: what it finds is served, and renewed with the next republish', async () => {
    const held = await renewed(reader)
    await agentA().kill()
    await waitFor('half of its life to pass', () => Date.now() > held.notAfter.getTime() - SHORT_TTL_MS / 2)
    await agentA().start()
    expect(await reader.fetchSerialNumber()).toBe(held.serialNumber)
    await agentA().registered()
    await nudge('reader')
    await reader.renewedAfter(held.serialNumber)
    expect(await mountedOnce(agentA())).toHaveLength(CROWD.length * VOLUMES_EACH + 2)
  })

  test('is followed again by a go-spiffe client that had a stream', async () => {
    const log = await cluster.podLogs(NAMESPACE, 'follower')
    const { status } = await cluster.pod(NAMESPACE, 'follower')
    expect(status.containerStatuses).toMatchObject([{ ready: true, restartCount: 0 }])
    expect(log.trim().split('\n')).toHaveLength(1)
    await waitFor(
      'the client to be connected',
      async () => (await agentA().metrics()).sum('countersign_agent_workload_api_connections') > 0,
    )
  })
})

describe('a broker that was killed', () => {
  test('for more than half of a life: the pod that waits is served when it is back, and renewals go on', async () => {
    const held = await renewed(reader)
    await installation.broker.kill()
    const start = performance.now()
    await cluster.apply(pod('late', 'node-a', 'usual'))
    await waitFor('half of the life to pass', () => Date.now() > held.notAfter.getTime() - SHORT_TTL_MS / 2 + 500)
    expect(isReady(await cluster.pod(NAMESPACE, 'late'))).toBe(false)
    expect(await reader.serialNumber()).toBe(held.serialNumber)
    const away = performance.now() - start
    await installation.broker.start()
    const back = performance.now()
    await cluster.waitUntilPodReady(NAMESPACE, 'late')
    const served = performance.now() - back
    expect(served).toBeLessThan(5_000)
    await reader.renewedAfter(held.serialNumber)
    const { stdout } = await cluster.tryKubectl(['events', '--namespace', NAMESPACE, '--for', 'pod/late'])
    expect(stdout).not.toContain('FailedMount')
    process.stdout.write(`the broker was away for ${Math.round(away)} ms; the pod ran ${Math.round(served)} ms later\n`)
  })
})

describe('a disk that is full under the ledger', () => {
  afterAll(() => disk.free())

  test('refuses, holds new pods, and goes on once there is room', async () => {
    // A ledger that is opened anew makes room by itself at first.
    const refusals = async () => {
      await disk.fill()
      const metrics = await installation.broker.metrics()
      return metrics.sum('countersign_broker_svids_refused_total', { kind: 'workload', code: 'store_unavailable' })
    }
    const workloads = async () => (await installation.agent('node-b').metrics()).sum('countersign_agent_workloads')
    await Promise.all([renewed(reader), renewed(peer)])
    const served = await workloads()
    await waitFor('issuance to be refused', async () => (await refusals()) > 0)
    await cluster.apply(pod('patient', 'node-b', 'usual'))
    await waitFor('kubelet to publish', async () => (await workloads()) > served)
    const before = await refusals()
    await waitFor('the pod to be refused as well', async () => (await refusals()) > before)
    expect(isReady(await cluster.pod(NAMESPACE, 'patient'))).toBe(false)
    await handshake(reader, peer)
    const held = await reader.serialNumber()
    await disk.free()
    await cluster.waitUntilPodReady(NAMESPACE, 'patient')
    await reader.renewedAfter(held)
  })
})

describe('an API server that is away', () => {
  test('keeps nobody from mutual TLS; renewals come when it is back', async () => {
    const refusals = async () => {
      const metrics = await Promise.all(installation.agents.map((agent) => agent.metrics()))
      const code = 'kubernetes_unavailable'
      return metrics.reduce((sum, scraped) => sum + scraped.sum('countersign_agent_renewals_total', { code }), 0)
    }
    const before = await refusals()
    await cluster.stopApiServer()
    // Half of a life is left to the first that fails, and more to the others.
    await waitFor('a renewal to fail', async () => (await refusals()) > before, { timeout: 30_000 })
    await handshake(reader, peer)
    const held = await reader.serialNumber()
    await cluster.startApiServer()
    await reader.renewedAfter(held)
    await handshake(peer, reader)
  })
})

test.for(SOAK)('an agent that came back renews as soon as kubelet republishes of its own accord', async () => {
  const leaf = await left.renewedAfter(heldByLeft, { timeout: 120_000 })
  expect(leaf.notAfter.getTime()).toBeGreaterThan(Date.now())
})

test.for(SOAK)('an agent that was away for $minutes minutes, past half of a life, renews before its end', async () => {
  await cluster.apply(pod('soaked', 'node-b', 'eight-minutes'))
  await cluster.waitUntilPodReady(NAMESPACE, 'soaked')
  const [volume] = await volumesOf(cluster, NAMESPACE, 'soaked')
  const held = await volume?.leaf()
  const agent = installation.agent('node-b')
  const leftMs = () => (held?.notAfter.getTime() ?? 0) - Date.now()
  await waitFor('a minute and a half to pass', () => leftMs() < 6.5 * 60_000, { timeout: 2 * 60_000 })
  await agent.kill()
  await waitFor('three minutes to pass', () => leftMs() < 3.5 * 60_000, { timeout: 4 * 60_000 })
  await agent.start()
  expect(await volume?.fetchSerialNumber()).toBe(held?.serialNumber)
  // kubelet has backed off meanwhile.
  await volume?.renewedAfter(held?.serialNumber ?? '', { timeout: 3.5 * 60_000 })
  process.stdout.write(`renewed with ${Math.round(leftMs() / 1000)} s left\n`)
  expect(leftMs()).toBeGreaterThan(0)
})

/** The leaf just after a renewal. */
async function renewed(volume: PodVolume) {
  return volume.renewedAfter(await volume.serialNumber(), { interval: 50 })
}

async function mountedOnce({ node }: AgentProcess): Promise<string[]> {
  const targets = await mountedTargets(node)
  expect(new Set(targets).size).toBe(targets.length)
  return targets
}

async function workloadsIssued(): Promise<number> {
  return (await installation.broker.metrics()).sum('countersign_broker_svids_issued_total', { kind: 'workload' })
}

/** How many TokenReviews the API server has had, of whomever. */
async function tokenReviews(): Promise<number> {
  const { body } = await cluster.request('GET', '/metrics')
  return new Scrape(body).sum('apiserver_request_total', { resource: 'tokenreviews' })
}
