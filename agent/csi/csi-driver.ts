import { join } from 'node:path'
import type { Clock } from '../../core/runtime/clock.ts'
import type { Log } from '../../core/runtime/log.ts'
import type { EndedCall } from '../../proto/grpc-server.ts'
import { type Mounter, SystemMounter } from '../volume/mounter.ts'
import { TmpfsPlace } from '../volume/tmpfs-place.ts'
import { VolumeDelivery } from '../volume/volume-delivery.ts'
import { CsiServer } from './csi-server.ts'
import type { PublishedWorkloads } from './published-workloads.ts'
import { recoverVolumes, type Recovered } from './recovery.ts'
import type { TargetPath } from './target-path.ts'
import { VolumeRecords } from './volume-records.ts'
import { Volumes } from './volumes.ts'

export interface CsiDriverOptions {
  readonly pluginsRegistry: string
  /** kubelet's --root-dir, as kubelet names it. */
  readonly kubeletDirectory: string
  /** The agent's own; records of volumes are kept in its folder `volumes`. */
  readonly stateDirectory: string
  /** The audience of pods' tokens. */
  readonly audience: string
  readonly nodeName: string
  readonly version: string
  /** How many volumes of one pod are served; the default of `Volumes`, if not given. */
  readonly maxVolumesPerPod?: number | undefined
  /** The label of volumes where the kernel has SELinux. */
  readonly selinuxContext?: string | undefined
}

export interface CsiDriverDependencies {
  readonly workloads: PublishedWorkloads
  readonly clock: Clock
  readonly log: Log
  /** A call of kubelet's has ended, for a metric and a log line. */
  readonly ended?: (call: EndedCall) => void
  /** The system's, if none is given. */
  readonly mounter?: Mounter
}

export interface CsiDriver {
  readonly recovered: Recovered
  /** Whether kubelet knows the driver, and calls it for pods. */
  isRegistered(): boolean
  /** Takes no more calls; volumes stay as they are. */
  close(): Promise<void>
}

/** Takes up the volumes of the agent before, and only then tells kubelet that there is a driver. */
export async function startCsiDriver(
  { kubeletDirectory: given, ...options }: CsiDriverOptions,
  { workloads, clock, log, ended = () => {}, mounter = systemMounter(options) }: CsiDriverDependencies,
): Promise<CsiDriver> {
  const kubeletDirectory = given.replace(/\/+$/, '')
  const settings = { kubeletDirectory, audience: options.audience, maxVolumesPerPod: options.maxVolumesPerPod }
  const records = await VolumeRecords.open(join(options.stateDirectory, 'volumes'), (name, error) =>
    log.warn({ name, err: error }, 'the record of a volume cannot be read; the volume waits for its next publish'),
  )
  const damaged = (error: unknown) => log.warn({ err: error }, 'a volume is damaged; it will be written anew')
  const unwiped = (error: unknown) => log.warn({ err: error }, 'not all of a volume that goes could be wiped')
  const deliverTo = (target: TargetPath, gid: number | undefined) =>
    new VolumeDelivery({
      place: new TmpfsPlace(target, mounter, clock),
      // Without fsGroup a pod may run as any user, and nobody but the pod reaches its volume (design §3).
      readers: gid ?? 'everyone',
      clock,
      damaged,
      unwiped,
    })
  const volumes = new Volumes({ workloads, records, deliverTo, settings, log })
  const recovered = await recoverVolumes({ volumes, records, mounter, deliverTo, settings }, log)
  const { pluginsRegistry, nodeName, version } = options
  const server = await CsiServer.start({ pluginsRegistry, nodeName, version, ended }, { volumes, clock, log })
  return { recovered, isRegistered: () => server.isRegistered, close: () => server.close() }
}

function systemMounter({ selinuxContext }: Pick<CsiDriverOptions, 'selinuxContext'>): Mounter {
  return new SystemMounter({ selinuxContext })
}
