import { codeOf } from '../../core/runtime/errors.ts'
import type { Log } from '../../core/runtime/log.ts'
import type { Found, VolumeDelivery } from '../volume/volume-delivery.ts'
import type { FirstPublishRequest, PublishRequest } from './publish-request.ts'
import type { PublishedWorkloads } from './published-workloads.ts'
import type { TargetPath } from './target-path.ts'
import type { VolumeRecord, VolumeRecords } from './volume-records.ts'

/** What a volume is served with. */
export interface ServingDependencies {
  readonly workloads: PublishedWorkloads
  readonly records: VolumeRecords
  /** Makes the delivery to a target path; nothing is touched by that. */
  readonly deliverTo: (target: TargetPath, gid: number | undefined) => VolumeDelivery
  readonly log: Log
}

/** A publish of a volume that this agent does not serve yet. */
export interface UnservedPublish {
  readonly publish: PublishRequest
  /** What only a pod's first publish must satisfy. @throws {@link IdentityError} the refusal. */
  readonly asFirst: () => FirstPublishRequest
  /** Hands on what token the publish brings, if it brings one. */
  readonly refreshToken: () => void
}

/**
 * Serves a publish of a volume that is not served yet. Mostly it is a pod's first one; but an agent that has lost its
 * record, or could not recover it, finds a volume that was filled. Containers may be using that one: it is taken up
 * whatever the publish says else, and never emptied for anything that fails here.
 */
export async function serveUnserved(
  { publish, asFirst, refreshToken }: UnservedPublish,
  dependencies: ServingDependencies,
  abandoned: AbortSignal,
): Promise<void> {
  const { volumeId, target, gid } = publish
  const delivery = dependencies.deliverTo(target, gid)
  let found: Found | undefined
  try {
    found = await delivery.found()
    if (found === 'filled') {
      await takeUp(publish, delivery, dependencies, abandoned)
      refreshToken()
    } else {
      await serveFirst(asFirst(), delivery, dependencies, abandoned)
    }
    abandoned.throwIfAborted()
  } catch (error) {
    await cleanUp(volumeId, delivery, found, dependencies).catch((left: unknown) => {
      dependencies.log.error({ volumeId, code: codeOf(left), err: left }, 'a failed publish could not be cleaned up')
    })
    throw error
  }
}

async function takeUp(
  publish: PublishRequest,
  delivery: VolumeDelivery,
  { records, workloads, log }: ServingDependencies,
  abandoned: AbortSignal,
): Promise<void> {
  const { volumeId, pod } = publish
  // Its containers need the agent more than the next agent needs the record.
  await records.save(recordOf(publish)).catch((error: unknown) => {
    log.warn({ volumeId, err: error }, 'the record of a volume that containers use could not be saved')
  })
  abandoned.throwIfAborted()
  await workloads.recover({ id: volumeId, pod, owner: pod.podUid, delivery })
}

async function serveFirst(
  first: FirstPublishRequest,
  delivery: VolumeDelivery,
  { records, workloads }: ServingDependencies,
  abandoned: AbortSignal,
): Promise<void> {
  const { volumeId, pod, token } = first
  // The record first: what is mounted without one is not found again.
  await records.save(recordOf(first))
  abandoned.throwIfAborted()
  // Mounted while the broker is asked, who takes as long; where that fails, nothing is waited for.
  const mounted = delivery.prepare()
  const stopped = mounted.catch(() => workloads.remove(volumeId)).catch(() => {})
  try {
    await workloads.add({ id: volumeId, pod, owner: pod.podUid, delivery, token })
  } finally {
    // What is removed late would be the next publish's.
    await stopped
    await mounted
  }
}

/**
 * Nothing is left of what was not filled before, be it an agent's that was killed: kubelet may never unpublish it. What
 * was filled, or could not be looked at, stays.
 */
async function cleanUp(
  volumeId: string,
  delivery: VolumeDelivery,
  found: Found | undefined,
  { records }: ServingDependencies,
): Promise<void> {
  if (found === undefined || found === 'filled') return delivery.close()
  await delivery.remove()
  await records.delete(volumeId)
}

function recordOf({ volumeId, target, pod, gid }: PublishRequest): VolumeRecord {
  return { volumeId, targetPath: target.path, pod, gid }
}
