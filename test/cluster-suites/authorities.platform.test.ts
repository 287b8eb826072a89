import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseCertificate } from '../../core/pki/certificate.ts'
import { pemDecode } from '../../core/pki/pem.ts'
import { attachCluster } from '../cluster/attach.ts'
import { waitFor } from '../cluster/base/wait.ts'
import type { Cluster } from '../cluster/cluster.ts'
import { spawnPlaced } from '../cluster/machine/processes.ts'
import { REPOSITORY } from './broker-process.ts'
import { createNamespaceWith, identityPod } from './identity-pod.ts'
import { installCountersign, type Installation } from './installation.ts'
import { type PodVolume, volumesOf } from './pod-volume.ts'
import { type LogLine, Program } from './program.ts'

const NAMESPACE = 'authorities-suite'
const CHANGES = 5
const PER_SECOND = 60

let cluster: Cluster
let installation: Installation | undefined
let reader: PodVolume
let streamer: PodVolume
let deserted: PodVolume
const programs: Program[] = []

beforeAll(async () => {
  cluster = await attachCluster()
  installation = await installCountersign(cluster, {
    // Lives are short so that five authorities come and go within a minute; what depends on them is in proportion.
    issuance: { minTtl: '2s', defaultTtl: '4s', maxTtl: '4s', agentTtl: '4s' },
    authority: { lifetime: '13s', activationDeadline: '1s' },
  })
  await createNamespaceWith(cluster, NAMESPACE, ['reader', 'streamer', 'deserted'])
  const pod = (name: string, node: 'node-a' | 'node-b') =>
    identityPod({ namespace: NAMESPACE, name, node, serviceAccount: name })
  await cluster.apply([pod('reader', 'node-a'), pod('streamer', 'node-a'), pod('deserted', 'node-b')])
  const names = ['reader', 'streamer', 'deserted']
  await Promise.all(names.map((name) => cluster.waitUntilPodReady(NAMESPACE, name)))
  const volumes = await Promise.all(names.map((name) => volumesOf(cluster, NAMESPACE, name)))
  const [one, other, third] = volumes.flat()
  if (!one || !other || !third) throw new Error('volumes are missing')
  ;[reader, streamer, deserted] = [one, other, third]
})

afterAll(async () => {
  await Promise.all(programs.map((program) => program.stop()))
  await cluster.deleteNamespace(NAMESPACE)
  await installation?.stop()
})

function run(name: string, args: readonly string[]): Program {
  const child = spawnPlaced(process.execPath, args, { cwd: REPOSITORY }, ['ignore', 'pipe', 'pipe'])
  const program = new Program(name, child, join(cluster.logDir, `${name}.log`))
  programs.push(program)
  return program
}

const idOf = (name: string) => `spiffe://prod.example/ns/${NAMESPACE}/sa/${name}`

test('five changes of the signing authority under load, with a dead agent, cost not one handshake', async () => {
  if (!installation) throw new Error('nothing is installed')
  const { broker } = installation
  const steps = (step: string) =>
    broker.program.lines.filter((line) => line['step'] === step).map(({ keyId }) => String(keyId))
  const [oldest = ''] = (await reader.authorities()).slice(0, 1)

  // One end follows the stream of its socket, the other the files of its volume.
  const demo = join('test', 'demo', 'workload', 'main.ts')
  const socket = join(streamer.shortPath, 'socket')
  const server = run('handshake-server', [demo, '--socket', socket, '--serve', '127.0.0.1', '--allow', idOf('reader')])
  const { port } = await server.until(({ event }) => event === 'listening')
  const load = run('handshake-load', [
    join(import.meta.dirname, 'handshake-load.ts'),
    ...['--directory', reader.path, '--connect', `127.0.0.1:${String(port)}`],
    ...['--expect', idOf('streamer'), '--per-second', `${PER_SECOND}`],
  ])
  await load.until(({ event }) => event === 'load')
  await installation.agent('node-b').kill()

  const before = steps('activate').length
  await waitFor(`${CHANGES} changes`, () => steps('activate').length >= before + CHANGES, { timeout: 120_000 })
  const active = steps('activate').at(-1) ?? ''
  const signedByActive = ({ ours, theirs }: Counts) => (ours[active] ?? 0) > 0 && (theirs[active] ?? 0) > 0
  const last = countsOf(await load.until((line) => line['event'] === 'load' && signedByActive(countsOf(line))))

  expect(last.errors).toEqual([])
  expect({ failed: last.failed, resumed: last.resumed }).toEqual({ failed: 0, resumed: 0 })
  expect(Object.keys(last.ours).length).toBeGreaterThanOrEqual(CHANGES + 1)
  expect(Object.keys(last.theirs).length).toBeGreaterThanOrEqual(CHANGES + 1)
  const rates = ratesOf(load.lines)
  const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length
  expect(mean).toBeGreaterThanOrEqual(50)
  const metrics = await broker.metrics()
  const activations = (gate: string) => metrics.sum('countersign_broker_authority_activations_total', { gate })
  expect({ forced: activations('forced') }).toEqual({ forced: 0 })
  process.stdout.write(
    `${last.handshakes} handshakes, ${mean.toFixed(0)} a second (least ${Math.min(...rates)}), none failed\n` +
      `by authority, of the client: ${Object.values(last.ours).join(' ')}; of the service: ${Object.values(last.theirs).join(' ')}\n`,
  )

  expect(steps('retire')).toContain(oldest)
  const bundles = {
    files: await reader.authorities(),
    stream: (await streamer.fetch()).authorities,
    broker: pemDecode(await readFile(broker.bundleFile, 'utf8')).map(
      ({ der }) => parseCertificate(der).subjectKeyIdentifier?.toString('hex') ?? '',
    ),
  }
  for (const authorities of Object.values(bundles)) {
    expect(authorities).toContain(active)
    expect(authorities).not.toContain(oldest)
  }
})

test('the dead agent comes back to authorities that it has never heard of', async () => {
  const held = await deserted.leaf()
  expect(held.notAfter.getTime()).toBeLessThan(Date.now())
  const agent = installation?.agent('node-b')
  await agent?.start()
  await agent?.registered()
  await cluster.kubectl(['annotate', 'pod', 'deserted', '--namespace', NAMESPACE, 'nudged=yes'])
  const leaf = await deserted.renewedAfter(held.serialNumber)
  expect(await deserted.authorities()).toContain(leaf.authorityKeyIdentifier?.toString('hex'))
})

interface Counts {
  readonly handshakes: number
  readonly failed: number
  readonly resumed: number
  readonly errors: readonly string[]
  readonly ours: Readonly<Record<string, number>>
  readonly theirs: Readonly<Record<string, number>>
}

function countsOf(line: LogLine): Counts {
  return line as unknown as Counts
}

/** Handshakes in each second. */
function ratesOf(lines: readonly LogLine[]): number[] {
  const totals = lines.filter(({ event }) => event === 'load').map((line) => countsOf(line).handshakes)
  return totals.slice(1).map((total, index) => total - (totals[index] ?? 0))
}
