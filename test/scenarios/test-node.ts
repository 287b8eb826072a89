import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startAgent, type Agent } from '../../agent/agent.ts'
import { readAgentConfig } from '../../agent/config.ts'
import { createLog } from '../../core/runtime/log.ts'
import { systemRandom } from '../../core/runtime/random.ts'
import { TokenIssuer } from '../fakes/token-issuer.ts'
import { MovableClock } from './movable-clock.ts'

export const TRUST_DOMAIN = 'test.example'
export const NODE = 'node-a'

const RESTARTED_SOON = '50ms'

/** A node without Kubernetes: its agent, the workloads declared on it and their tokens, in a folder of its own. */
export class TestNode {
  readonly directory: string
  readonly clock = new MovableClock()
  readonly tokens = new TokenIssuer({ clock: this.clock })
  agent: Agent | undefined

  private constructor(directory: string) {
    this.directory = directory
  }

  static async create(): Promise<TestNode> {
    const node = new TestNode(await mkdtemp(join(tmpdir(), 'countersign-node-')))
    await mkdir(node.path('declared'))
    await mkdir(node.path('tokens'))
    await node.writeToken('agent', 'countersign-agent')
    return node
  }

  path(...names: readonly string[]): string {
    return join(this.directory, ...names)
  }

  socketOf(name: string): string {
    return this.path('output', name, 'socket')
  }

  /** A fresh token of the pod `name`, where its workload or the agent reads it. */
  async writeToken(name: string, serviceAccount = name): Promise<void> {
    const token = this.tokens.mint({
      facts: {
        namespace: name === 'agent' ? 'countersign-agent' : 'shop',
        serviceAccount,
        serviceAccountUid: `uid-of-${serviceAccount}`,
        podName: name,
        podUid: `uid-of-${name}`,
        nodeName: NODE,
        nodeUid: `uid-of-${NODE}`,
      },
      audience: `countersign.dev/${TRUST_DOMAIN}`,
    })
    await writeFile(this.path('tokens', name), token)
  }

  async declare(name: string): Promise<void> {
    await this.writeToken(name)
    await writeFile(this.path('declared', `${name}.yaml`), `name: ${name}\ntokenFile: ${this.path('tokens', name)}\n`)
  }

  async undeclare(name: string): Promise<void> {
    await rm(this.path('declared', `${name}.yaml`))
  }

  async startAgent(brokerAddress: string, bundleFile: string): Promise<Agent> {
    const config = readAgentConfig(undefined, {
      trustDomain: TRUST_DOMAIN,
      nodeName: NODE,
      broker: { address: brokerAddress },
      tokenFile: this.path('tokens', 'agent'),
      bootstrapBundleFile: bundleFile,
      stateDirectory: this.path('state'),
      workloads: {
        directory: this.path('declared'),
        output: this.path('output'),
        allowDisk: true,
        reread: RESTARTED_SOON,
      },
      operations: { listen: '127.0.0.1:0' },
    })
    const log = createLog('agent', process.env['AGENT_LOG'] === undefined ? 'silent' : 'debug')
    this.agent = await startAgent(config, { clock: this.clock, random: systemRandom, log })
    return this.agent
  }

  async stopAgent(): Promise<void> {
    await this.agent?.stop()
    this.agent = undefined
  }

  async read(name: string, file: string): Promise<string> {
    return readFile(this.path('output', name, file), 'utf8')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopAgent()
    await rm(this.directory, { recursive: true, force: true })
  }
}
