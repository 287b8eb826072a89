import { join } from 'node:path'
import type { Clock } from '../core/runtime/clock.ts'
import { codeOf } from '../core/runtime/errors.ts'
import type { Log } from '../core/runtime/log.ts'
import type { EndedCall } from '../proto/grpc-server.ts'
import type { AgentConfig } from './config.ts'
import { CsiServer } from './csi/csi-server.ts'
import { recoverVolumes } from './csi/recovery.ts'
import type { TargetPath } from './csi/target-path.ts'
import { VolumeRecords } from './csi/volume-records.ts'
import { Volumes } from './csi/volumes.ts'
import { SystemMounter } from './volume/mounter.ts'
import { TmpfsPlace } from './volume/tmpfs-place.ts'
import { VolumeDelivery } from './volume/volume-delivery.ts'
import type { Workloads } from './workloads/workloads.ts'

interface Dependencies {
  readonly workloads: Workloads
  readonly clock: Clock
  readonly log: Log
  readonly ended: (call: EndedCall) => void
  readonly version: string
}

/** The pods of this node, by CSI: takes up the volumes of the agent before, then lets kubelet in. */
export async function servePods(config: AgentConfig, dependencies: Dependencies): Promise<CsiServer | undefined> {
  const { csi, nodeName, stateDirectory, trustDomain } = config
  if (!csi || nodeName === undefined) return undefined
  const { workloads, clock, log, ended, version } = dependencies
  const mounter = new SystemMounter({ selinuxContext: csi.selinuxContext })
  const records = await VolumeRecords.open(join(stateDirectory, 'volumes'))
  const settings = {
    kubeletDirectory: csi.kubeletDirectory,
    audience: csi.audience ?? `countersign.dev/${trustDomain}`,
  }
  const deliverTo = (target: TargetPath, gid: number | undefined) =>
    new VolumeDelivery({
      place: new TmpfsPlace(target, mounter, clock),
      gid,
      clock,
      damaged: (error) => log.warn({ path: target.path, code: codeOf(error), err: error }, 'files are damaged'),
    })
  const volumes = new Volumes({ workloads, records, deliverTo, settings, log })
  const recovered = await recoverVolumes({ volumes, records, mounter, deliverTo, settings }, log)
  log.info({ ...recovered }, 'volumes of the agent before are taken up')
  return CsiServer.start({ pluginsRegistry: csi.pluginsRegistry, nodeName, version, ended }, { volumes, clock, log })
}
