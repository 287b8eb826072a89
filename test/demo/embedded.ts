import { copyFileSync, existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { audited, auditRecord } from './audit.ts'
import type { DemoProcess, Said } from './process.ts'
import type { Step } from './report.ts'
import { AGENTS, type DemoPod, idOf, PODS, TRUST_DOMAIN, type World } from './world.ts'

/** Lifetimes that let rotations be seen; in earnest they are minutes and hours. */
const TTL = '8s'
const ROTATIONS = 3

/** What the demonstration needs besides its folders. */
export interface Stage {
  readonly world: World
  readonly report: (step: Step) => void
  /** What it is at, for people; where steps are for programs, apart from them. */
  readonly log: (line: string) => void
  /** Starts a process that must not end before it is asked to. */
  readonly run: (name: string, args: readonly string[]) => DemoProcess
  /** Aborted when its viewer leaves before its end. */
  readonly signal: AbortSignal
  /** With `--keep`, resolves once its viewer has seen enough. */
  readonly stay: () => Promise<void>
  readonly isKept: boolean
}

const program = (...parts: string[]) => join(import.meta.dirname, '..', '..', ...parts)
const [cart, checkout, invoices] = PODS as readonly [DemoPod, DemoPod, DemoPod]

/** The demonstration without Kubernetes: every process on real sockets and real TLS. */
export async function embedded(stage: Stage): Promise<void> {
  await issuerStep(stage)
  const broker = await brokerStep(stage)
  await agentsStep(stage, broker)
  const server = await serverStep(stage)
  const clients = await mutualTlsStep(stage, server)
  await rotationStep(stage, clients)
  await stolenTokenStep(stage)
  lookStep(stage)
  await stage.stay()
}

const ledgerOf = (world: World) => world.path('broker', 'ledger.sqlite')
async function issuerStep({ world, run, report }: Stage): Promise<void> {
  const issuer = run('token-issuer', [program('test', 'demo', 'token-issuer.ts'), world.root])
  const { issuer: name } = await issuer.until(({ event }) => event === 'ready')
  report({
    step: 'token-issuer',
    says: 'A token issuer stands in for the API server and kubelet: a pod-bound token per pod, in a file.',
    facts: { pid: issuer.pid, issuer: name, jwks: world.path('jwks.json'), tokens: world.path('tokens') },
  })
}

/** @returns where agents connect. */
async function brokerStep({ world, run, report }: Stage): Promise<string> {
  const broker = run('broker', [
    '--max-semi-space-size=2',
    program('broker', 'main.ts'),
    ...['--trust-domain', TRUST_DOMAIN, '--data', world.path('broker'), '--listen', '127.0.0.1:0'],
    ...['--jwks', world.path('jwks.json'), '--issuer', 'https://token-issuer.demo.example'],
    ...['--bundle-file', world.path('bundle.json'), '--bundle-file', world.path('bundle.pem')],
    ...['--default-ttl', TTL, '--min-ttl', '5s', '--max-ttl', '1h'],
    ...['--authority-lifetime', '4h'],
  ])
  const ready = await broker.until(({ msg }) => msg === 'started')
  const record = await auditRecord(
    ledgerOf(world),
    ({ event, kind }) => event === 'issuance_intended' && kind === 'broker',
  )
  const address = addressOf(ready)
  report({
    step: 'broker',
    says: 'The broker makes its authority, signs its own SVID and listens. It keeps no list of workloads.',
    facts: {
      pid: broker.pid,
      address,
      spiffeId: record['spiffeId'],
      serialNumber: record['serialNumber'],
      bundle: world.path('bundle.json'),
      pem: world.read('bundle.pem'),
      metrics: `http://127.0.0.1:${String(ready['operationsPort'])}/metrics`,
      audit: audited(record),
    },
  })
  return address
}

function addressOf({ address }: Said): string {
  if (typeof address === 'string') return address
  const { host, port } = address as { host: string; port: number }
  return `${host}:${port}`
}

async function agentsStep({ world, run, report }: Stage, brokerAddress: string): Promise<void> {
  const agents = AGENTS.map((agent) => {
    mkdirSync(join(world.volumes, agent.node), { recursive: true, mode: 0o755 })
    mkdirSync(world.path(agent.node, 'workloads'), { recursive: true })
    mkdirSync(world.path(agent.node, 'state'), { recursive: true })
    const process = run(agent.name, [
      program('agent', 'main.ts'),
      ...['--trust-domain', TRUST_DOMAIN, '--node-name', agent.node, '--broker', brokerAddress],
      ...['--token-file', world.tokenFile(agent), '--bundle-file', world.path('bundle.json')],
      ...['--state', world.path(agent.node, 'state'), '--workloads', world.path(agent.node, 'workloads')],
      ...['--output', join(world.volumes, agent.node), '--reread', '1s', '--operations-listen', '127.0.0.1:0'],
      ...(world.keysOnDisk ? ['--allow-disk'] : []),
    ])
    return { agent, process }
  })
  for (const { agent, process } of agents) {
    const { spiffeId } = await process.until(({ msg }) => msg === 'the node is attested')
    const record = await auditRecord(
      ledgerOf(world),
      (other) => other.event === 'issuance_intended' && other['kind'] === 'agent' && other['nodeName'] === agent.node,
    )
    report({
      step: 'agent',
      says: `The agent of ${agent.node} proves its node by its own token, and gets an SVID for an hour.`,
      facts: { pid: process.pid, spiffeId, serialNumber: record['serialNumber'], audit: audited(record) },
    })
  }
}

/** Reports the first SVID of a workload as the workload itself sees it, with the record of its issuance. */
async function identityStep({ world, report }: Stage, pod: DemoPod, process: DemoProcess, how: string): Promise<void> {
  const svid = await process.until(({ event }) => event === 'svid')
  const record = await auditRecord(
    ledgerOf(world),
    ({ event, serialNumber }) => event === 'issuance_intended' && serialNumber === svid['serialNumber'],
  )
  report({
    step: 'identity',
    says: `${pod.namespace}/${pod.name} finds its identity ${how}.`,
    facts: {
      pid: process.pid,
      spiffeId: svid['spiffeId'],
      serialNumber: svid['serialNumber'],
      notAfter: svid['notAfter'],
      volume: world.volume(pod),
      pem: svid['pem'],
      audit: audited(record),
    },
  })
}

async function serverStep(stage: Stage): Promise<{ address: string }> {
  const { world, run } = stage
  for (const pod of PODS) world.declare(pod.node, pod.name, world.tokenFile(pod))
  await Promise.all(PODS.map((pod) => volumeReady(world, pod)))
  const server = run('cart', [
    program('test', 'demo', 'workload', 'main.ts'),
    ...[
      '--directory',
      world.volume(cart),
      '--serve',
      '127.0.0.1',
      '--allow',
      idOf(checkout),
      '--allow',
      idOf(invoices),
    ],
  ])
  await identityStep(stage, cart, server, 'in the files of its volume')
  const { port } = await server.until(({ event }) => event === 'listening')
  return { address: `127.0.0.1:${String(port)}` }
}

/** Without kubelet nothing holds a workload back until its identity is there, so it is waited for here. */
async function volumeReady(world: World, pod: DemoPod): Promise<void> {
  await auditRecord(ledgerOf(world), ({ event, spiffeId }) => event === 'issuance_intended' && spiffeId === idOf(pod))
  const end = performance.now() + 10_000
  while (
    !existsSync(join(world.volume(pod), 'credential-bundle.pem')) ||
    !existsSync(join(world.volume(pod), 'socket'))
  ) {
    if (performance.now() > end) throw new Error(`the volume of ${pod.name} did not fill`)
    await new Promise((resume) => setTimeout(resume, 20))
  }
}

async function mutualTlsStep(stage: Stage, { address }: { address: string }): Promise<readonly DemoProcess[]> {
  const { world, run, report } = stage
  const towards = ['--connect', address, '--expect', idOf(cart)]
  const workload = program('test', 'demo', 'workload', 'main.ts')
  const streaming = run('checkout', [workload, '--socket', join(world.volume(checkout), 'socket'), ...towards])
  await identityStep(stage, checkout, streaming, 'on its own socket, by the SPIFFE Workload API')
  const reading = run('invoices', [workload, '--directory', world.volume(invoices), ...towards])
  await identityStep(stage, invoices, reading, 'in the files of its volume')
  for (const [pod, process] of [
    [checkout, streaming],
    [invoices, reading],
  ] as const) {
    const { peer, us } = await process.until(({ event, handshakes }) => event === 'traffic' && Number(handshakes) > 0)
    report({
      step: 'mutual-tls',
      says: `${pod.name} on ${pod.node} and cart on node-a hold mutual TLS: each sees who the other is.`,
      facts: { pid: process.pid, client: us, server: peer },
    })
  }
  return [streaming, reading]
}

async function rotationStep({ report }: Stage, clients: readonly DemoProcess[]): Promise<void> {
  for (const client of clients) {
    const rotated = () => client.said.filter(({ event }) => event === 'svid')
    await client.until(() => rotated().length > ROTATIONS, 30_000)
    const serialNumbers = rotated().map(({ serialNumber }) => serialNumber)
    // Traffic after the last rotation, with the newest certificate.
    const { handshakes, failed } = await client.until(
      ({ event, us }) => event === 'traffic' && (us as Said | undefined)?.['serialNumber'] === serialNumbers.at(-1),
    )
    report({
      step: 'rotation',
      says: `${client.name} went on through ${serialNumbers.length - 1} rotations: new handshakes all the time, and one connection that stayed open.`,
      facts: { pid: client.pid, handshakes, failed, serialNumbers: serialNumbers.join(' ') },
    })
    if (failed !== 0) throw new Error(`${client.name}: ${String(failed)} requests failed during rotation`)
  }
}

async function stolenTokenStep({ world, report }: Stage): Promise<void> {
  const stolen = world.path('stolen.jwt')
  copyFileSync(world.tokenFile(cart), stolen)
  world.declare('node-b', 'thief', stolen)
  const record = await auditRecord(
    ledgerOf(world),
    ({ event, code }) => event === 'issuance_refused' && code === 'node_mismatch',
  )
  const thief = world.volume({ name: 'thief', namespace: '', node: 'node-b' })
  if (existsSync(join(thief, 'tls.crt'))) throw new Error('the stolen token was good for an identity')
  report({
    step: 'stolen-token',
    says: "cart's token, stolen and presented on node-b, is refused: a token is believed only from its own node's agent.",
    facts: { refused: record['code'], audit: audited(record) },
  })
}

function lookStep({ world, report, isKept }: Stage): void {
  const step = 'look'
  // Without `--keep` all of it is gone by the time that a path could be typed.
  if (!isKept) {
    report({ step, says: '`npm run demo -- --keep` leaves all of this running, to be looked at.', facts: {} })
    return
  }
  report({
    step,
    says: 'All of this stays until Ctrl-C, to be looked at.',
    facts: {
      files: `ls -l ${world.volume(cart)}`,
      svid: `npm run --silent countersign -- svid show ${world.volume(cart)}`,
      certificate: `openssl x509 -in ${join(world.volume(cart), 'tls.crt')} -noout -text`,
      ledger: ledgerOf(world),
      logs: world.path('logs'),
      bundle: world.path('bundle.json'),
    },
  })
}
