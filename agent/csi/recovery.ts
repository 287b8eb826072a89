import { readFile, realpath } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { codeOf } from '../../core/runtime/errors.ts'
import type { Log } from '../../core/runtime/log.ts'
import type { Mounter } from '../volume/mounter.ts'
import { MOUNT_SOURCE } from '../volume/tmpfs-options.ts'
import type { VolumeDelivery } from '../volume/volume-delivery.ts'
import type { PublishSettings } from './publish-request.ts'
import { parseTargetPath, type TargetPath } from './target-path.ts'
import type { VolumeRecord, VolumeRecords } from './volume-records.ts'
import type { Volumes } from './volumes.ts'

export interface RecoveryDependencies {
  readonly volumes: Volumes
  readonly records: VolumeRecords
  readonly mounter: Mounter
  readonly deliverTo: (target: TargetPath, gid: number | undefined) => VolumeDelivery
  readonly settings: PublishSettings
}

/** What became of the volumes of the agent before. */
export interface Recovered {
  /** Served again. */
  readonly recovered: number
  /** Nobody's any more: unmounted, or only the record of one, and gone. */
  readonly removed: number
  /** Mounted and kubelet's, but not to be served before its next publish. */
  readonly waiting: number
}

/**
 * Takes up what the agent before left (design §10): every volume that is on record, mounted, and known to kubelet. Once
 * kubelet has forgotten a volume, which it does only after its unpublish or a publish that failed for good, nobody will
 * ever unpublish it, so it goes now. One volume's trouble is not another's.
 */
export async function recoverVolumes(dependencies: RecoveryDependencies, log: Log): Promise<Recovered> {
  const counts = { recovered: 0, removed: 0, waiting: 0 }
  const records = await dependencies.records.all()
  for (const record of records) counts[await recoverOne(record, dependencies, log)] += 1
  const recorded = new Set(records.map(({ targetPath }) => targetPath))
  for (const target of await mountedTargets(dependencies)) {
    if (!recorded.has(target.path)) counts[await adopt(target, dependencies, log)] += 1
  }
  return counts
}

async function recoverOne(record: VolumeRecord, dependencies: RecoveryDependencies, log: Log) {
  const { volumeId, targetPath, gid } = record
  const { volumes, records, deliverTo, settings } = dependencies
  try {
    const target = parseTargetPath(targetPath, settings.kubeletDirectory)
    if ((await volumeHandle(targetPath)) === volumeId && (await isThere(deliverTo(target, gid)))) {
      await volumes.recover(record)
      return 'recovered'
    }
    await deliverTo(target, gid).remove()
    await records.delete(volumeId)
    return 'removed'
  } catch (error) {
    log.warn({ volumeId, code: codeOf(error), err: error }, 'a volume was not recovered; it waits for its next publish')
    return 'waiting'
  }
}

/** A mount without a record says too little of its pod; kubelet's next publish says it all. */
async function adopt(target: TargetPath, { deliverTo }: RecoveryDependencies, log: Log) {
  const volumeId = await volumeHandle(target.path)
  try {
    if (volumeId === undefined) {
      await deliverTo(target, undefined).remove()
      return 'removed'
    }
    log.warn({ volumeId }, 'a volume without a record waits for its next publish')
  } catch (error) {
    log.warn({ code: codeOf(error), err: error }, 'a volume that nobody knows could not be removed')
  }
  return 'waiting'
}

async function isThere(delivery: VolumeDelivery): Promise<boolean> {
  const there = await delivery.exists()
  await delivery.close()
  return there
}

/** The ID under which kubelet knows the volume that it mounts here; `undefined` where it knows none, or one not ours. */
async function volumeHandle(targetPath: string): Promise<string | undefined> {
  try {
    const data: unknown = JSON.parse(await readFile(join(dirname(targetPath), 'vol_data.json'), 'utf8'))
    const { driverName, volumeHandle: handle } = data as Record<string, unknown>
    return driverName === MOUNT_SOURCE && typeof handle === 'string' ? handle : undefined
  } catch {
    return undefined
  }
}

/** The target paths of our mounts, as kubelet writes them: its folder may be a link, which the kernel does not show. */
async function mountedTargets({ mounter, settings }: RecoveryDependencies): Promise<TargetPath[]> {
  const { kubeletDirectory } = settings
  const real = await realpath(kubeletDirectory)
  const paths = (await mounter.ourMounts()).map(({ mountPoint }) => mountPoint)
  const inside = paths.filter((path) => path.startsWith(`${real}/`))
  return inside.flatMap((path) => targetOf(kubeletDirectory + path.slice(real.length), settings) ?? [])
}

function targetOf(path: string, { kubeletDirectory }: PublishSettings): TargetPath | undefined {
  try {
    return parseTargetPath(path, kubeletDirectory)
  } catch {
    return undefined
  }
}
