import { join } from 'node:path'
import type { DemoProcess } from '../demo/process.ts'
import { MEASURED_CORE } from './machine/cores.ts'
import { cpuMs, type Memory, memoryOf } from './machine/process-figures.ts'
import type { Stage } from './stage.ts'
import { TRUST_DOMAIN } from './stage.ts'

/** Flags of node. A young generation of 2 MiB has shorter pauses, but promotes whatever waits for the disk. */
export const BROKER_NODE_ARGS = (process.env['BENCH_BROKER_NODE_ARGS'] ?? '--max-semi-space-size=16').split(' ')

const BROKER = join(import.meta.dirname, '..', '..', 'broker', 'main.ts')

/** A broker that serves, in a process of its own on the core that is measured. */
export interface RunningBroker {
  readonly process: DemoProcess
  readonly address: string
  readonly bundleFile: string
  readonly ledgerFile: string
  cpuMs(): number
  memory(): Memory
  /** One of its metrics, summed over its labels. */
  metric(name: string): Promise<number>
}

/** How tokens are believed: by the JWK Set of an issuer, or by an API server. */
export type Believes = { readonly jwks: string; readonly issuer: string } | { readonly kubeconfig: string }

export async function startBroker(
  stage: Stage,
  believes: Believes,
  args: readonly string[] = [],
  core = MEASURED_CORE,
): Promise<RunningBroker> {
  const data = stage.folder('broker')
  const bundleFile = stage.path('bundle.pem')
  const process = stage.run(
    'broker',
    [
      ...BROKER_NODE_ARGS,
      BROKER,
      ...['--trust-domain', TRUST_DOMAIN, '--data', data, '--bundle-file', bundleFile, '--log-level', 'info'],
      // What is measured is the broker, not how it keeps one node from asking for everything.
      ...['--issuance-rate', '1000000'],
      ...('jwks' in believes
        ? ['--jwks', believes.jwks, '--issuer', believes.issuer]
        : ['--kubeconfig', believes.kubeconfig]),
      ...args,
    ],
    core,
  )
  const { address, operationsPort } = await process.until(({ msg }) => msg === 'started', 30_000)
  return {
    process,
    address: String(address),
    bundleFile,
    ledgerFile: join(data, 'ledger.sqlite'),
    cpuMs: () => cpuMs(process.pid),
    memory: () => memoryOf(process.pid),
    metric: (name) => metricOf(Number(operationsPort), name),
  }
}

export async function metricOf(port: number, name: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  const lines = text.split('\n').filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
}
