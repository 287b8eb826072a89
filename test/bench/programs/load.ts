/** Loads a broker with issuances: agents of a few nodes, each with its own connection, and a pod for every SVID. */
import { setTimeout as delay } from 'node:timers/promises'
import { serveCommands } from '../machine/remote.ts'
import { percentile } from '../statistics.ts'
import { type AgentConnection, type BrokerAddress, connectAgent } from './agent-connection.ts'
import { newCsr, type Ticket, Tickets } from './tickets.ts'

const tickets = new Tickets()
const nodes: { readonly connection: AgentConnection; readonly pool: Ticket[]; next: number }[] = []

const commands = {
  jwks: () => ({ jwks: JSON.stringify(tickets.issuer.jwks()), issuer: tickets.issuer.issuer }),

  /** Connects the agents of `count` nodes and makes `perNode` tickets for each. */
  async connect({ broker, count, perNode }: { broker: BrokerAddress; count: number; perNode: number }) {
    for (let node = 0; node < count; node += 1) {
      const connection = await connectAgent(broker, tickets.agentToken(node))
      nodes.push({ connection, pool: Array.from({ length: perNode }, () => tickets.ticket(node)), next: 0 })
    }
  },

  /** The same with tokens that an API server made, one list per node. */
  async connectWith({ broker, agents }: { broker: BrokerAddress; agents: readonly TokensOfNode[] }) {
    for (const { agentToken, pods } of agents) {
      const connection = await connectAgent(broker, agentToken)
      nodes.push({ connection, pool: pods.map((pod) => ({ ...pod, csr: newCsr() })), next: 0 })
    }
  },

  /**
   * `inFlight` calls of `batch` SVIDs on each connection, the next as soon as one is answered; with `once`, until every
   * ticket was used.
   */
  async closedLoop({ seconds, inFlight, batch, once = false }: ClosedLoop) {
    const begin = performance.now()
    const end = begin + seconds * 1000
    const latencies: number[] = []
    for (const node of nodes) node.next = 0
    const loop = async (node: (typeof nodes)[number]) => {
      while (performance.now() < end && !(once && node.next + batch > node.pool.length)) {
        const sent = performance.now()
        await issue(node, batch)
        latencies.push(performance.now() - sent)
      }
    }
    await Promise.all(nodes.flatMap((node) => Array.from({ length: inFlight }, () => loop(node))))
    return summaryOf(latencies, (performance.now() - begin) / 1000, latencies.length * batch)
  },

  /** One SVID a call at `rate` a second, however slow the answers are. Latency counts from when it should have been sent. */
  async openLoop({ seconds, rate }: { seconds: number; rate: number }) {
    const latencies: number[] = []
    const lateness: number[] = []
    const calls: Promise<void>[] = []
    const begin = performance.now() + 50
    const total = seconds * rate
    while (calls.length < total) {
      const due = begin + (calls.length * 1000) / rate
      const now = performance.now()
      if (due > now) {
        // A timer's grain is a millisecond, and so coarser than the rate: what has become due meanwhile goes at once.
        await (due - now > 1 ? delay(1) : new Promise((resume) => setImmediate(resume)))
        continue
      }
      lateness.push(now - due)
      const node = nodes[calls.length % nodes.length]
      if (node) calls.push(issue(node, 1).then(() => void latencies.push(performance.now() - due)))
    }
    await Promise.all(calls)
    const { p50, p99, p999, max } = summaryOf(latencies, seconds, latencies.length)
    return {
      p50,
      p99,
      p999,
      max,
      count: latencies.length,
      senderLateP99: percentile(lateness, 99),
      senderLateMax: percentile(lateness, 100),
    }
  },
}

export type LoadCommands = typeof commands

export interface ClosedLoop {
  readonly seconds: number
  readonly inFlight: number
  readonly batch: number
  readonly once?: boolean
}

export interface TokensOfNode {
  readonly agentToken: string
  readonly pods: readonly Omit<Ticket, 'csr'>[]
}

async function issue(node: (typeof nodes)[number], batch: number): Promise<void> {
  const requests = Array.from({ length: batch }, (_, index) => {
    const { token, csr, podUid } = node.pool[(node.next + index) % node.pool.length] as Ticket
    return { requestId: String(index), serviceAccountToken: token, csr, podUid }
  })
  node.next = node.next + batch
  const { results } = await node.connection.service.issueX509Svids({ requests }, { timeoutMs: 60_000 })
  const refused = results.find(({ outcome }) => outcome.case !== 'svid')
  if (refused) throw new Error(`refused: ${JSON.stringify(refused.outcome.value)}`)
}

function summaryOf(latencies: readonly number[], seconds: number, svids: number) {
  return {
    seconds,
    svids,
    p50: percentile(latencies, 50),
    p99: percentile(latencies, 99),
    p999: percentile(latencies, 99.9),
    max: percentile(latencies, 100),
  }
}

serveCommands(commands)
