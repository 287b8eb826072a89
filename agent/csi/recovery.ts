import { realpath } from 'node:fs/promises'
import { codeOf, IdentityError } from '../../core/runtime/errors.ts'
import type { Log } from '../../core/runtime/log.ts'
import type { Mounter } from '../volume/mounter.ts'
import type { Found, VolumeDelivery } from '../volume/volume-delivery.ts'
import { contradicts, kubeletsWord } from './kubelet-volume-data.ts'
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
  /** Mounted and not forgotten, but not to be served before its next publish. */
  readonly waiting: number
}

/**
 * Takes up what the agent before left (design §10): every volume that is on record, mounted, and not forgotten by kubelet.
 * Once kubelet has forgotten a volume, which it does only after its unpublish or a publish that failed for good, nobody
 * will ever unpublish it, so it goes now. What is doubtful stays as it is: containers may be using it, and kubelet's next
 * publish or unpublish says what it is. One volume's trouble is not another's.
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
    const word = await kubeletsWord(targetPath)
    const found = word === 'forgotten' ? 'nothing' : await look(deliverTo(target, gid))
    if (found === 'nothing') {
      await deliverTo(target, gid).remove()
      await records.delete(volumeId)
      return 'removed'
    }
    if (contradicts(word, volumeId)) throw doubtful('kubelet mounts another volume on its target path')
    if (record.pod.podUid !== target.podUid) throw doubtful("its record names another pod than its target path's")
    if (found === 'empty') {
      // Its publish was never answered. Served as it is, the next would be, and containers start without an identity.
      log.info({ volumeId }, 'a volume that was never filled waits for its next publish')
      return 'waiting'
    }
    await volumes.recover(record)
    return 'recovered'
  } catch (error) {
    log.warn({ volumeId, code: codeOf(error), err: error }, 'a volume was not recovered; it waits for its next publish')
    return 'waiting'
  }
}

/** A mount without a record says too little of its pod; kubelet's next publish says it all. */
async function adopt(target: TargetPath, { deliverTo }: RecoveryDependencies, log: Log) {
  const word = await kubeletsWord(target.path)
  try {
    if (word === 'forgotten') {
      await deliverTo(target, undefined).remove()
      return 'removed'
    }
    log.warn({ targetPath: target.path, word }, 'a volume without a record waits for its next publish')
  } catch (error) {
    log.warn({ code: codeOf(error), err: error }, 'a volume that nobody knows could not be removed')
  }
  return 'waiting'
}

function doubtful(why: string): IdentityError {
  return new IdentityError('volume_tampered', why)
}

async function look(delivery: VolumeDelivery): Promise<Found> {
  try {
    return await delivery.found()
  } finally {
    await delivery.close()
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
