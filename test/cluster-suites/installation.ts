import { rm } from 'node:fs/promises'
import type { Cluster } from '../cluster/cluster.ts'
import type { NodeName } from '../cluster/layout.ts'
import { AgentProcess } from './agent-process.ts'
import { BrokerProcess } from './broker-process.ts'
import { makeInstallationFolder, removeAbandoned } from './installation-folder.ts'
import { applyObjects } from './installation-objects.ts'

/** The trust domain of every installation: the audience in deploy/examples/csi-driver.yaml is its. */
export const TRUST_DOMAIN = 'prod.example'

export interface InstallOptions {
  /** Changes of the broker's configuration. */
  readonly issuance?: object
  readonly authority?: object
  /** IdentityTemplates; without any the built-in one applies. */
  readonly templates?: readonly object[]
  /** Where the ledger is. Default: with the rest. */
  readonly ledgerDirectory?: string
  /** Other sections of the broker's configuration. */
  readonly config?: object
}

/** A broker and an agent on each node, as processes. */
export interface Installation {
  readonly trustDomain: string
  readonly broker: BrokerProcess
  readonly agents: readonly AgentProcess[]
  agent(node: NodeName): AgentProcess
  /** Ends all of it. Pods with volumes should be gone by then: only an agent can unpublish them. */
  stop(): Promise<void>
}

/** Installs Countersign on a cluster that is up; returns once kubelet takes pods with `csi.countersign.dev` volumes. */
export async function installCountersign(cluster: Cluster, options: InstallOptions = {}): Promise<Installation> {
  const { issuance = {}, authority = {}, templates = [], ledgerDirectory, config } = options
  await removeAbandoned()
  const directory = await makeInstallationFolder()
  const common = { trustDomain: TRUST_DOMAIN, directory }
  const broker = new BrokerProcess(cluster, { ...common, issuance, authority, templates, ledgerDirectory, config })
  const agents = cluster.nodes.map((node) => new AgentProcess(cluster, node, broker, common))
  const stop = async () => {
    await Promise.all(agents.map((agent) => agent.stop()))
    await broker.stop()
    await rm(directory, { recursive: true, force: true })
  }
  try {
    await Promise.all([applyObjects(cluster), broker.start()])
    await Promise.all(
      agents.map(async (agent) => {
        await agent.start()
        await agent.registered()
      }),
    )
  } catch (error) {
    await stop()
    throw error
  }
  const agent = (name: NodeName) => {
    const found = agents.find(({ node }) => node.name === name)
    if (!found) throw new Error(`there is no agent on ${name}`)
    return found
  }
  return { trustDomain: TRUST_DOMAIN, broker, agents, agent, stop }
}
