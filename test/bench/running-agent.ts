import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { PROGRAMS } from '../../deploy/image/programs.ts'
import type { DemoProcess } from '../demo/process.ts'
import { MEASURED_CORE, OTHER_CORE } from './machine/cores.ts'
import { type Memory, memoryOf } from './machine/process-figures.ts'
import { nodeName, Tickets } from './programs/tickets.ts'
import { type Believes, metricOf, type RunningBroker, startBroker } from './running-broker.ts'
import { type Stage, TRUST_DOMAIN } from './stage.ts'

const BUILT = process.env['BENCH_AGENT']

/** What is measured; a built agent leaves out the 30 MiB that stripping types costs. */
export const AGENT = BUILT ?? join(import.meta.dirname, '..', '..', 'agent', 'main.ts')

/** How the image starts it. Without WebAssembly, as lite mode is, no types can be stripped. */
const { nodeOptions = [], environment = {} } = PROGRAMS['agent'] ?? {}
export const AGENT_NODE_ARGS =
  process.env['BENCH_AGENT_NODE_ARGS']?.split(' ') ??
  nodeOptions.filter((option) => BUILT !== undefined || !['--lite-mode', '--no-node-snapshot'].includes(option))
export const AGENT_ENVIRONMENT = environment

/** An agent with declared workloads, alone on the core that is measured; its broker is on the other. */
export interface RunningAgent {
  readonly broker: RunningBroker
  readonly process: DemoProcess
  /** A folder and the socket in it for each workload. */
  readonly volumes: readonly string[]
  readonly sockets: readonly string[]
  memory(): Memory
  metric(name: string): Promise<number>
}

/** Where tokens come from. */
export interface TokenSource {
  readonly believes: Believes
  agentToken(): string
  podToken(index: number): string
}

export interface AgentOptions {
  readonly count: number
  readonly ttl: string
  readonly tokens?: TokenSource
  /** How often declarations and tokens are read again. */
  readonly reread?: string
}

/** Starts broker and agent, and returns once every workload has its files and its socket. */
export async function startAgent(stage: Stage, { count, ttl, tokens, reread }: AgentOptions): Promise<RunningAgent> {
  const source = tokens ?? mintedTokens(stage)
  const lives = ['--default-ttl', ttl, '--min-ttl', '2s', '--max-ttl', '1h', '--authority-lifetime', '4h']
  const broker = await startBroker(stage, source.believes, lives, OTHER_CORE)
  const declarations = stage.folder('workloads')
  writeToken(stage, 'agent', source.agentToken())
  const names = Array.from({ length: count }, (_, index) => `app-${index}`)
  for (const [index, name] of names.entries()) {
    const tokenFile = writeToken(stage, name, source.podToken(index))
    writeFileSync(join(declarations, `${name}.yaml`), stringify({ name, tokenFile }))
  }
  const output = join(stage.memory, 'volumes')
  mkdirSync(output, { mode: 0o755 })
  const process = stage.run(
    'agent',
    [
      ...AGENT_NODE_ARGS,
      AGENT,
      ...['--trust-domain', TRUST_DOMAIN, '--node-name', nodeName(0), '--broker', broker.address],
      ...['--token-file', tokenFileOf(stage, 'agent'), '--bundle-file', broker.bundleFile],
      ...['--state', stage.folder('state'), '--workloads', declarations, '--output', output],
      ...['--operations-listen', '127.0.0.1:0', '--reread', reread ?? '1h'],
    ],
    MEASURED_CORE,
    AGENT_ENVIRONMENT,
  )
  const { operationsPort } = await process.until(({ msg }) => msg === 'started', 30_000)
  const metric = (name: string) => metricOf(Number(operationsPort), name)
  await until(async () => (await metric('countersign_agent_first_publish_seconds_count')) >= count, 60_000)
  const volumes = names.map((name) => join(output, name))
  const sockets = volumes.map((volume) => join(volume, 'socket'))
  return { broker, process, volumes, sockets, memory: () => memoryOf(process.pid), metric }
}

/** Tokens of an issuer of our own, believed by their keys alone. */
function mintedTokens(stage: Stage): TokenSource {
  const tickets = new Tickets()
  const { issuer } = tickets.issuer
  return {
    believes: { jwks: stage.write('jwks.json', JSON.stringify(tickets.issuer.jwks())), issuer },
    agentToken: () => tickets.agentToken(0),
    podToken: () => tickets.ticket(0).token,
  }
}

const tokenFileOf = (stage: Stage, name: string) => join(stage.folder('tokens'), `${name}.jwt`)

/** Replaces a token as kubelet does. */
export function writeToken(stage: Stage, name: string, token: string): string {
  const file = tokenFileOf(stage, name)
  writeFileSync(`${file}.new`, token, { mode: 0o600 })
  renameSync(`${file}.new`, file)
  return file
}

/** Looks every 100 ms. */
export async function until(holds: () => Promise<boolean> | boolean, timeoutMs: number): Promise<void> {
  const end = performance.now() + timeoutMs
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`it did not come to that in ${timeoutMs} ms: ${holds.toString()}`)
    await new Promise((resume) => setTimeout(resume, 100))
  }
}
