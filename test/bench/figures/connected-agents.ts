import { setTimeout as delay } from 'node:timers/promises'
import type { Figure } from '../figure.ts'
import { OTHER_CORE } from '../machine/cores.ts'
import type { SyncAgentsCommands } from '../programs/sync-agents.ts'
import { startBroker } from '../running-broker.ts'
import { fixed } from '../statistics.ts'

const GOAL_KIB = 120
/** Agents at each measurement: the slope between the first and the last leaves out what the broker needs anyway. */
const STEPS = { quick: [250, 750], normal: [500, 1500], long: [500, 5000] } as const
const SETTLE_MS = 5000

/** What an agent that is connected costs the broker. */
export const connectedAgents: Figure = {
  name: 'connected-agents',
  async measure(stage, effort) {
    const agents = stage.remote<SyncAgentsCommands>('sync-agents.ts', OTHER_CORE)
    const { jwks, issuer } = await agents.ask('jwks', undefined)
    const broker = await startBroker(stage, { jwks: stage.write('jwks.json', jwks), issuer })
    const { address, bundleFile } = broker
    const [few, many] = STEPS[effort]
    const memoryWith = async (total: number) => {
      await agents.ask('connect', { broker: { address, bundleFile }, total })
      await delay(SETTLE_MS)
      return broker.memory()
    }
    const before = await memoryWith(few)
    const after = await memoryWith(many)
    const connected = await broker.metric('countersign_broker_agents_connected')
    if (connected !== many) throw new Error(`${connected} of ${many} agents are connected`)
    const rss = (after.rss - before.rss) / (many - few)
    const anon = (after.anon - before.anon) / (many - few)
    return [
      {
        figure: 'broker RSS per connected agent',
        value: `${fixed(rss, 0)} KiB`,
        numbers: { rssKib: rss, anonKib: anon, rssKibWithFew: before.rss, rssKibWithMany: after.rss, few, many },
        goal: `≤ ${GOAL_KIB} KiB`,
        met: rss <= GOAL_KIB,
        note: `slope from ${few} to ${many} agents, mTLS, one open Sync stream each`,
      },
    ]
  },
}
