/** Many agents that are connected and say nothing: each its own node, its own mTLS connection, one open Sync stream. */
import { serveCommands } from '../machine/remote.ts'
import { type BrokerAddress, connectAgent } from './agent-connection.ts'
import { Tickets } from './tickets.ts'

/** Handshakes at the same time. */
const AT_ONCE = 16

const tickets = new Tickets()
let connected = 0
let ended = 0

async function addAgent(broker: BrokerAddress): Promise<void> {
  connected += 1
  const { service } = await connectAgent(broker, tickets.agentToken(connected))
  const { send, responses } = service.sync()
  send({ message: { case: 'hello', value: { agentVersion: 'bench', bundleSequence: 0n, heldSerialNumbers: [] } } })
  const states = responses[Symbol.asyncIterator]()
  await states.next()
  const follow = async () => {
    while (!(await states.next()).done);
  }
  follow().catch(() => (ended += 1))
}

const commands = {
  jwks: () => ({ jwks: JSON.stringify(tickets.issuer.jwks()), issuer: tickets.issuer.issuer }),

  /** Connects until there are `total`; each has had its first message then. */
  async connect({ broker, total }: { broker: BrokerAddress; total: number }) {
    const more = async () => {
      while (connected < total) await addAgent(broker)
    }
    await Promise.all(Array.from({ length: AT_ONCE }, more))
  },

  ended: () => ended,
}

export type SyncAgentsCommands = typeof commands

serveCommands(commands)
