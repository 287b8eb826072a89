import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseMountInfo } from '../agent/volume/mountinfo.ts'
import { attachCluster } from './cluster/attach.ts'
import type { Cluster, Pod } from './cluster/cluster.ts'
import type { ClusterNode } from './cluster/cluster-node.ts'
import { BUSYBOX_IMAGE } from './cluster/images/catalog.ts'
import type { RecordedCall, Recording } from './csi-driver/recording.ts'

/*
 * The driver under the real kubelet, with identities that nobody vouches for. `RECORD_CSI_CALLS=1` puts the recorder
 * between the two and renews test/recordings, which is replayed without a cluster.
 */

const NAMESPACE = 'csi-kubelet'
const AUDIENCE = 'countersign.dev/prod.example'
const RECORDING = join(import.meta.dirname, 'recordings', 'kubelet-1.37.json')
const record = process.env['RECORD_CSI_CALLS'] !== undefined

interface Call {
  readonly path: string
  readonly code: string
}

let cluster: Cluster
let node: ClusterNode
let folder: string
let driver: ChildProcess
let calls: Call[]

beforeAll(async () => {
  cluster = await attachCluster()
  node = cluster.node('node-a')
  folder = await mkdtemp(join(tmpdir(), 'csi-kubelet-'))
  await cluster.createNamespace(NAMESPACE)
  await cluster.apply({
    apiVersion: 'storage.k8s.io/v1',
    kind: 'CSIDriver',
    metadata: { name: 'csi.countersign.dev' },
    spec: {
      attachRequired: false,
      podInfoOnMount: true,
      volumeLifecycleModes: ['Ephemeral'],
      fsGroupPolicy: 'File',
      requiresRepublish: true,
      tokenRequests: [{ audience: AUDIENCE, expirationSeconds: 3600 }],
      serviceAccountTokenInSecrets: true,
    },
  })
  await startDriver()
})

afterAll(async () => {
  await cluster.deleteNamespace(NAMESPACE)
  await cluster.kubectl(['delete', 'csidriver', 'csi.countersign.dev'])
  driver.kill('SIGTERM')
  await once(driver, 'exit')
  if (record) await keepRecording()
  await rm(folder, { recursive: true })
})

/** @returns what the driver says it found. */
async function startDriver(): Promise<object> {
  calls = []
  const options = {
    registry: node.pluginsRegistryDir,
    kubelet: node.kubeletRoot,
    state: join(folder, 'state'),
    node: node.name,
    audience: AUDIENCE,
    ...(record && { record: join(folder, `calls-${Date.now()}.json`) }),
  }
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value])
  driver = node.spawn(process.execPath, ['test/csi-driver/main.ts', ...args])
  const { stdout, stderr } = driver
  if (!stdout || !stderr) throw new Error('the driver has no output')
  createInterface(stderr).on('line', (line) => {
    const { msg, ...entry } = JSON.parse(line) as Call & { msg: string }
    if (msg === 'call') calls.push(entry)
  })
  const [line] = (await once(createInterface(stdout), 'line')) as [string]
  return JSON.parse(line) as object
}

async function keepRecording(): Promise<void> {
  const files = (await readdir(folder)).filter((name) => name.startsWith('calls-')).toSorted()
  const recorded: RecordedCall[] = []
  for (const file of files) recorded.push(...(JSON.parse(await readFile(join(folder, file), 'utf8')) as RecordedCall[]))
  const recording: Recording = {
    caller: 'kubelet v1.37.1',
    kubeletDirectory: node.kubeletRoot,
    audience: AUDIENCE,
    calls: recorded,
  }
  await writeFile(RECORDING, `${JSON.stringify(recording, undefined, 2)}\n`)
}

const callsOf = (method: string) => calls.filter(({ path }) => path === `/csi.v1.Node/${method}`)
const ourMounts = async () => {
  const { stdout } = await node.run('cat', ['/proc/self/mountinfo'])
  return parseMountInfo(stdout).filter(
    ({ mountPoint }) => mountPoint.startsWith(`${node.kubeletRoot}/pods/`) && mountPoint.endsWith('/id/mount'),
  )
}

function pod(name: string, volume: object = { readOnly: true }, securityContext: object = {}): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: NAMESPACE },
    spec: {
      nodeName: 'node-a',
      terminationGracePeriodSeconds: 0,
      securityContext: { runAsUser: 1234, runAsGroup: 1234, ...securityContext },
      containers: [
        {
          name: 'main',
          image: BUSYBOX_IMAGE,
          command: ['sleep', '3600'],
          securityContext: { readOnlyRootFilesystem: true },
          volumeMounts: [{ name: 'id', mountPath: '/id' }],
        },
      ],
      volumes: [{ name: 'id', csi: { driver: 'csi.countersign.dev', ...volume } }],
    },
  }
}

const inPod = async (name: string, command: string) => cluster.exec(NAMESPACE, name, ['sh', '-c', command])

/** The pod's own socket, from outside of the node. */
async function askSocket({ metadata }: Pod): Promise<string> {
  const volume = join(node.podDir(metadata.uid), 'volumes/kubernetes.io~csi/id/mount')
  const short = join(folder, 's')
  await rm(short, { force: true })
  await symlink(node.insidePath(volume), short)
  return text(connect(join(short, 'socket')))
}

test('a container finds its identity before it starts, as any user, and cannot change it', async () => {
  await cluster.apply(pod('plain'))
  const started = await cluster.waitUntilPodReady(NAMESPACE, 'plain')
  expect((await inPod('plain', 'cat /id/credential-bundle.pem')).stdout).toMatch(/^-----BEGIN PRIVATE KEY-----\n/)
  expect(await inPod('plain', 'echo x > /id/tls.key || rm /id/socket || ln -s / /id/..data')).toMatchObject({ code: 1 })
  expect(await askSocket(started)).toMatch(/^you are csi-[0-9a-f]{64}\n$/)
})

test('with fsGroup only its group reads the key', async () => {
  await cluster.apply(pod('grouped', { readOnly: true }, { fsGroup: 2000 }))
  await cluster.waitUntilPodReady(NAMESPACE, 'grouped')
  const { stdout } = await inPod(
    'grouped',
    'stat -L -c "%a %g" /id/tls.key /id/tls.crt /id/socket; wc -l < /id/tls.key',
  )
  expect(stdout).toMatch(/^440 2000\n444 0\n770 2000\n\d+\n$/)
})

/** An event of a pod makes kubelet look after it, and so republish, now: by itself it does within 90 seconds. */
async function nudge(): Promise<void> {
  const at = `nudged-at=${performance.now()}`
  await cluster.kubectl(['annotate', 'pods', '--all', '--namespace', NAMESPACE, '--overwrite', at])
}

test('republishes are answered OK, and nothing is mounted twice', async () => {
  const before = callsOf('NodePublishVolume').length
  await nudge()
  await expect
    .poll(() => callsOf('NodePublishVolume').length, { timeout: 150_000, interval: 500 })
    .toBeGreaterThan(before)
  expect(callsOf('NodePublishVolume').filter(({ code }) => code !== 'ok')).toEqual([])
  expect(await ourMounts()).toHaveLength(2)
})

test.for<[string, object, string]>([
  ['writable', { readOnly: false }, 'volume_not_read_only'],
  ['unknown-attribute', { readOnly: true, volumeAttributes: { wish: 'x' } }, 'volume_attribute_unknown'],
])('a volume that is %s keeps its pod from starting, and the event says why', async ([name, volume, code]) => {
  const mounts = await ourMounts()
  await cluster.apply(pod(name, volume))
  const events = () => cluster.kubectl(['events', '--namespace', NAMESPACE, '--for', `pod/${name}`])
  await expect.poll(events, { timeout: 30_000, interval: 500 }).toContain(code)
  expect(await ourMounts()).toHaveLength(mounts.length)
  await cluster.kubectl(['delete', 'pod', '--namespace', NAMESPACE, name, '--timeout=60s'])
})

test('a driver that crashes comes back to its volumes at once, and kubelet registers it again', async () => {
  const plain = await cluster.pod(NAMESPACE, 'plain')
  driver.kill('SIGKILL')
  await once(driver, 'exit')
  expect(await startDriver()).toMatchObject({ recovered: 2, removed: 0, waiting: 0 })
  expect(await askSocket(plain)).toContain('you are csi-')
  await expect
    .poll(() => calls.map(({ path }) => path), { timeout: 30_000, interval: 200 })
    .toContain('/pluginregistration.Registration/NotifyRegistrationStatus')
  await nudge()
  await expect.poll(() => callsOf('NodePublishVolume').length, { timeout: 150_000, interval: 500 }).toBeGreaterThan(0)
  // kubelet may ask once more for a pod of the test before, although its deletion is over.
  const late = ['volume_not_read_only', 'volume_attribute_unknown']
  expect(callsOf('NodePublishVolume').filter(({ code }) => code !== 'ok' && !late.includes(code))).toEqual([])
  expect(await ourMounts()).toHaveLength(2)
})

test('with its pod a volume ends, its mount, its folder and its record', async () => {
  await cluster.kubectl(['delete', 'pod', '--namespace', NAMESPACE, 'plain', 'grouped', '--timeout=60s'])
  await expect.poll(ourMounts, { timeout: 30_000, interval: 200 }).toEqual([])
  await expect.poll(() => readdir(join(folder, 'state', 'volumes')), { timeout: 30_000, interval: 200 }).toEqual([])
  expect(callsOf('NodeUnpublishVolume').filter(({ code }) => code !== 'ok')).toEqual([])
})
