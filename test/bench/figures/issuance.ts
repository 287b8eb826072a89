import { setTimeout as delay } from 'node:timers/promises'
import type { Effort, Figure, Measured } from '../figure.ts'
import { OTHER_CORE } from '../machine/cores.ts'
import { aboveFloor } from '../machine/floor.ts'
import type { Remote } from '../machine/remote.ts'
import type { LoadCommands } from '../programs/load.ts'
import { type RunningBroker, startBroker } from '../running-broker.ts'
import type { Stage } from '../stage.ts'
import { fixed, median } from '../statistics.ts'

/** Agents, each with a connection of its own. */
const NODES = 8
/** Calls in flight on each. */
const IN_FLIGHT = 8
/** So that what loads never collects all its garbage, 64,000 tokens among it, while it measures. */
const LOAD_NODE_ARGS = ['--initial-old-space-size=4096', '--max-semi-space-size=32']
/** V8 goes on optimising for seconds. */
const WARM_UP_SECONDS = 5
const SECONDS = { quick: 2, normal: 4, long: 10 } as const
const ROUNDS = { quick: 3, normal: 5, long: 9 } as const

/** A broker that believes the tokens of a load generator, and agents connected to it. */
export async function brokerUnderLoad(
  stage: Stage,
  { nodes = NODES, perNode = 1500, brokerArgs = [] as readonly string[] } = {},
): Promise<{ broker: RunningBroker; load: Remote<LoadCommands> }> {
  const load = stage.remote<LoadCommands>('load.ts', OTHER_CORE, LOAD_NODE_ARGS)
  const { jwks, issuer } = await load.ask('jwks', undefined)
  const broker = await startBroker(stage, { jwks: stage.write('jwks.json', jwks), issuer }, brokerArgs)
  const { address, bundleFile } = broker
  await load.ask('connect', { broker: { address, bundleFile }, count: nodes, perNode })
  return { broker, load }
}

interface CostOptions {
  readonly seconds: number
  readonly rounds: number
  readonly batch: number
  /** How long the broker remembers a token: each is used once in a round, and then not for so long. */
  readonly forgetMs?: number
}

/** What a closed loop costs, as medians over its rounds. */
export interface Cost {
  readonly wallMicros: number
  readonly cpuMicros: number
  readonly floorMicros: number
  readonly ratio: number
  readonly cpuRatio: number
  readonly p50: number
  readonly p99: number
}

export async function costOf(
  { broker, load }: { broker: RunningBroker; load: Remote<LoadCommands> },
  { seconds, rounds, batch, forgetMs = 0 }: CostOptions,
): Promise<Cost> {
  const shape = { inFlight: batch === 1 ? IN_FLIGHT : 2, batch, once: forgetMs > 0 }
  await load.ask('closedLoop', { seconds: WARM_UP_SECONDS, ...shape })
  const costs: Cost[] = []
  for (let round = 0; round < rounds; round += 1) {
    await delay(forgetMs)
    const { result, floor } = await aboveFloor(async () => {
      const before = broker.cpuMs()
      const loop = await load.ask('closedLoop', { seconds, ...shape })
      return { ...loop, cpu: broker.cpuMs() - before }
    })
    const wallMicros = (result.seconds * 1e6) / result.svids
    const cpuMicros = (result.cpu * 1000) / result.svids
    const { wallMicros: floorMicros } = floor
    const { p50, p99 } = result
    const [ratio, cpuRatio] = [wallMicros / floorMicros, cpuMicros / floor.cpuMicros]
    costs.push({ wallMicros, cpuMicros, floorMicros, ratio, cpuRatio, p50, p99 })
  }
  const middle = (pick: keyof Cost) => median(costs.map((cost) => cost[pick]))
  return {
    wallMicros: middle('wallMicros'),
    cpuMicros: middle('cpuMicros'),
    floorMicros: middle('floorMicros'),
    ratio: middle('ratio'),
    cpuRatio: middle('cpuRatio'),
    p50: middle('p50'),
    p99: middle('p99'),
  }
}

/** A line of the table out of a cost. */
export function lineOf(figure: string, cost: Cost, goal: number | undefined, note?: string): Measured {
  const { wallMicros, cpuMicros, floorMicros, ratio, cpuRatio, p50, p99 } = cost
  return {
    figure,
    value: `${fixed(wallMicros, 0)} µs (${fixed(1e6 / wallMicros, 0)}/s)`,
    numbers: { wallMicros, cpuMicros, cpuRatio, p50Ms: p50, p99Ms: p99 },
    floorMicros,
    ratio,
    ...(goal !== undefined && { goal: `≤ ${goal}`, met: ratio <= goal }),
    note: `${fixed(cpuMicros, 0)} µs of CPU each, ${fixed(cpuRatio, 2)} × the floor's${note === undefined ? '' : `; ${note}`}`,
  }
}

async function measured(stage: Stage, effort: Effort, batch: number): Promise<Cost> {
  return costOf(await brokerUnderLoad(stage), { seconds: SECONDS[effort], rounds: ROUNDS[effort], batch })
}

export const issuance: Figure = {
  name: 'issuance',
  measure: async (stage, effort) => [lineOf('SVID, one a call', await measured(stage, effort, 1), 2.6)],
}

export const issuanceInBatches: Figure = {
  name: 'issuance-batches',
  measure: async (stage, effort) => [lineOf('SVID, in batches of 10', await measured(stage, effort, 10), 1.9)],
}
