import type { Clock } from '../core/runtime/clock.ts'
import type { Log } from '../core/runtime/log.ts'
import type { EndedCall } from '../proto/grpc-server.ts'
import type { AgentConfig } from './config.ts'
import { type CsiDriver, startCsiDriver } from './csi/csi-driver.ts'
import type { ServedWorkloads } from './workloads/workloads.ts'

interface Dependencies {
  readonly workloads: ServedWorkloads
  readonly clock: Clock
  readonly log: Log
  readonly ended: (call: EndedCall) => void
  readonly version: string
}

/** The pods of this node, by CSI: takes up the volumes of the agent before, then lets kubelet in. */
export async function servePods(
  { csi, nodeName, stateDirectory, trustDomain }: AgentConfig,
  { version, ...dependencies }: Dependencies,
): Promise<CsiDriver | undefined> {
  if (!csi || nodeName === undefined) return undefined
  const audience = csi.audience ?? `countersign.dev/${trustDomain}`
  const driver = await startCsiDriver({ ...csi, audience, stateDirectory, nodeName, version }, dependencies)
  dependencies.log.info({ ...driver.recovered }, 'volumes of the agent before are taken up')
  return driver
}
