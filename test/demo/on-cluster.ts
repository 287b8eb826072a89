import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ChannelCredentials, Client } from '@grpc/grpc-js'
import { pemEncode } from '../../core/pki/pem.ts'
import { NodeService, Urgency } from '../../proto/gen/countersign/node/v1/node_pb.ts'
import { serviceClient, type ServiceClient } from '../../proto/grpc-client.ts'
import { findCluster } from '../cluster/attach.ts'
import { whileNotAborted } from '../cluster/base/cancellation.ts'
import { waitFor } from '../cluster/base/wait.ts'
import type { Cluster } from '../cluster/cluster.ts'
import { startCluster } from '../cluster/start.ts'
import { createNamespaceWith, identityPod } from '../cluster-suites/identity-pod.ts'
import { type Installation, installCountersign } from '../cluster-suites/installation.ts'
import { removeObjects } from '../cluster-suites/installation-objects.ts'
import { refuseIfInstalled } from '../cluster-suites/refuse-if-installed.ts'
import { newCsr } from '../fakes/node-client.ts'
import { audited, auditRecord } from './audit.ts'
import type { Stage } from './embedded.ts'
import type { Said } from './process.ts'
import { WORKLOAD_IMAGE, workloadImage } from './workload-image.ts'

const NAMESPACE = 'countersign-demo'
const TTL = '8s'
const ROTATIONS = 3

interface Scene extends Pick<Stage, 'world' | 'report' | 'log'> {
  readonly cluster: Cluster
  readonly installation: Installation
  readonly ledger: string
}

/** The demonstration with pods, on a test cluster: the one that is up, or one for the occasion. */
export async function onCluster(stage: Stage): Promise<void> {
  const { log, signal } = stage
  const found = await findCluster()
  if (found) {
    await refuseIfInstalled(found)
    log('using the test cluster that is up')
  } else log('starting a test cluster, which goes with the demonstration …')
  const cluster = found ?? (await unlessLeft(signal, () => startCluster({ log, signal })))
  try {
    await whileInstalled(stage, cluster)
  } finally {
    await (found ? removeObjects(found) : cluster.stop())
  }
}

async function whileInstalled(stage: Stage, cluster: Cluster): Promise<void> {
  const { world, report, log, signal, stay } = stage
  log('installing Countersign: a broker and an agent on each node …')
  const ledgerDirectory = world.path('broker')
  const issuance = { minTtl: '5s', defaultTtl: TTL, maxTtl: '1h' }
  const install = () => installCountersign(cluster, { issuance, ledgerDirectory })
  const installation = await unlessLeft(signal, () => whileNotAborted(signal, install))
  const scene = { world, report, log, cluster, installation, ledger: join(ledgerDirectory, 'ledger.sqlite') }
  try {
    await unlessLeft(signal, () => whileNotAborted(signal, () => show(scene)))
    await stay()
  } finally {
    log('removing all of it …')
    await cluster.deleteNamespace(NAMESPACE)
    await installation.stop()
  }
}

/** Once its viewer has left, whatever fails fails for that reason. */
async function unlessLeft<T>(signal: AbortSignal, action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (error) {
    signal.throwIfAborted()
    throw error
  }
}

async function show(scene: Scene): Promise<void> {
  const { cluster, installation, report, ledger } = scene
  report({
    step: 'cluster',
    says: 'Two nodes of a real Kubernetes; the broker reviews every token with its API server.',
    facts: { nodes: cluster.nodes.map(({ name }) => name).join(' '), broker: installation.broker.address, ledger },
  })
  for (const { node } of installation.agents) {
    const is = ({ event, kind, nodeName }: Said) =>
      event === 'issuance_intended' && kind === 'agent' && nodeName === node.name
    const record = await auditRecord(ledger, is)
    const { spiffeId, serialNumber } = record
    const says = `The agent of ${node.name} proves its node by its own pod's token.`
    report({ step: 'agent', says, facts: { spiffeId, serialNumber, audit: audited(record) } })
  }

  scene.log('bringing the image of the workloads to the nodes …')
  await cluster.addImage(await workloadImage())
  await createNamespaceWith(cluster, NAMESPACE, ['cart', 'checkout', 'invoices'])
  const id = (name: string) => `spiffe://${installation.trustDomain}/ns/${NAMESPACE}/sa/${name}`
  const allowed = ['--allow', id('checkout'), '--allow', id('invoices')]
  await startPod(scene, 'cart', 'node-a', ['--directory', '/identity', '--serve', '0.0.0.0', ...allowed])
  const { port } = await saidBy(scene, 'cart', ({ event }) => event === 'listening')
  const ip = (await cluster.pod(NAMESPACE, 'cart')).status.podIP ?? ''
  const towards = ['--connect', `${ip}:${String(port)}`, '--expect', id('cart')]
  await startPod(scene, 'checkout', 'node-b', ['--socket', '/identity/socket', ...towards])
  await startPod(scene, 'invoices', 'node-b', ['--directory', '/identity', ...towards])
  for (const pod of ['checkout', 'invoices']) await trafficStep(scene, pod)
  await stolenTokenStep(scene)
}

async function startPod(scene: Scene, name: string, node: 'node-a' | 'node-b', args: readonly string[]): Promise<void> {
  const { cluster, report, ledger } = scene
  await cluster.apply(
    identityPod({ namespace: NAMESPACE, name, node, serviceAccount: name, image: WORKLOAD_IMAGE, args }),
  )
  const svid = await saidBy(scene, name, ({ event }) => event === 'svid')
  const { serialNumber, spiffeId, notAfter, pem } = svid
  const record = await auditRecord(
    ledger,
    (other) => other.event === 'issuance_intended' && other['serialNumber'] === serialNumber,
  )
  report({
    step: 'identity',
    says: `Pod ${name} on ${node}, an unprivileged user on a read-only root, finds its identity as it starts.`,
    facts: { pod: `${NAMESPACE}/${name}`, spiffeId, serialNumber, notAfter, pem, audit: audited(record) },
  })
}

async function trafficStep(scene: Scene, pod: string): Promise<void> {
  const { peer, us } = await saidBy(
    scene,
    pod,
    ({ event, handshakes }) => event === 'traffic' && Number(handshakes) > 0,
  )
  scene.report({
    step: 'mutual-tls',
    says: `${pod} and cart hold mutual TLS across nodes: each sees who the other is.`,
    facts: { pod: `${NAMESPACE}/${pod}`, client: us, server: peer },
  })
  const serialNumbers = await waitFor(`${pod} to rotate`, async () => {
    const rotated = (await linesOf(scene, pod))
      .filter(({ event }) => event === 'svid')
      .map(({ serialNumber }) => serialNumber)
    return rotated.length > ROTATIONS && rotated
  })
  const last = await saidBy(
    scene,
    pod,
    ({ event, us }) => event === 'traffic' && (us as Said | undefined)?.['serialNumber'] === serialNumbers.at(-1),
  )
  const { handshakes, failed } = last
  scene.report({
    step: 'rotation',
    says: `${pod} went on through ${serialNumbers.length - 1} rotations, on new handshakes and an open connection.`,
    facts: { pod: `${NAMESPACE}/${pod}`, handshakes, failed, serialNumbers: serialNumbers.join(' ') },
  })
  if (failed !== 0) throw new Error(`${pod}: ${String(failed)} requests failed during rotation`)
}

/** A token bound to the pod cart on node-a, presented by somebody who has taken over the agent of node-b. */
async function stolenTokenStep({ cluster, installation, report, ledger }: Scene): Promise<void> {
  const audience = `countersign.dev/${installation.trustDomain}`
  const token = await cluster.createToken({ namespace: NAMESPACE, serviceAccount: 'cart', audience, pod: 'cart' })
  const { uid } = (await cluster.pod(NAMESPACE, 'cart')).metadata
  const agent = await attestAsAgent(installation)
  const { csr } = await newCsr()
  const request = { requestId: 'stolen', serviceAccountToken: token, csr, podUid: uid, urgency: Urgency.NEW_POD }
  const { results } = await agent.service.issueX509Svids({ requests: [request] }, { timeoutMs: 10_000 })
  agent.close()
  const outcome = results[0]?.outcome
  if (outcome?.case !== 'refusal') throw new Error('the stolen token was good for an identity')
  const record = await auditRecord(
    ledger,
    ({ event, code, podUid }) => event === 'issuance_refused' && code === outcome.value.code && podUid === uid,
  )
  report({
    step: 'stolen-token',
    says: "cart's token, stolen and presented by the agent of node-b, is refused.",
    facts: { refused: outcome.value.code, message: outcome.value.message, audit: audited(record) },
  })
}

interface StolenAgent {
  readonly service: ServiceClient<typeof NodeService>
  close(): void
}

async function attestAsAgent({ broker, agent }: Installation): Promise<StolenAgent> {
  const { csr, privateKey } = await newCsr()
  const connect = (key: Buffer | null, certificate: Buffer | null): StolenAgent => {
    const bundle = readFileSync(broker.bundleFile)
    const credentials = ChannelCredentials.createSsl(bundle, key, certificate, { checkServerIdentity: () => undefined })
    const client = new Client(broker.address, credentials, {
      'grpc.use_local_subchannel_pool': 1,
      // The broker is known by its SPIFFE ID; to OpenSSL any name will do that is no address.
      'grpc.ssl_target_name_override': 'broker',
      'grpc.default_authority': 'broker',
    })
    return { service: serviceClient(NodeService, client, Date.now), close: () => client.close() }
  }
  const stranger = connect(null, null)
  const serviceAccountToken = readFileSync(agent('node-b').tokenFile, 'utf8')
  const { svid } = await stranger.service.attestNode({ serviceAccountToken, csr }, { timeoutMs: 10_000 })
  stranger.close()
  const chain = (svid?.certificateChain ?? []).map((der) => pemEncode('CERTIFICATE', der)).join('')
  return connect(Buffer.from(pemEncode('PRIVATE KEY', privateKey)), Buffer.from(chain))
}

async function linesOf({ cluster }: Scene, pod: string): Promise<Said[]> {
  const lines = (await cluster.podLogs(NAMESPACE, pod)).trim().split('\n')
  return lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as Said)
}

function saidBy(scene: Scene, pod: string, is: (line: Said) => boolean): Promise<Said> {
  return waitFor(`${pod} to say so`, async () => {
    // Until the container has started there is no log.
    const lines = await linesOf(scene, pod).catch(() => [])
    return lines.findLast(is) ?? false
  })
}
