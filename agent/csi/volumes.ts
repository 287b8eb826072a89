import { codeOf, IdentityError } from '../../core/runtime/errors.ts'
import type { Log } from '../../core/runtime/log.ts'
import type { NodePublishVolumeRequest, NodeUnpublishVolumeRequest } from '../../proto/gen/third_party/csi/v1/csi_pb.ts'
import type { VolumeDelivery } from '../volume/volume-delivery.ts'
import type { WorkloadRequest } from '../workloads/workload.ts'
import {
  parsePublish,
  parsePublishReference,
  parseUnpublish,
  type PublishRequest,
  type PublishSettings,
  tokenOf,
} from './publish-request.ts'
import type { PublishedWorkloads } from './published-workloads.ts'
import { parseTargetPath, type TargetPath } from './target-path.ts'
import type { VolumeRecord, VolumeRecords } from './volume-records.ts'

export interface VolumesDependencies {
  readonly workloads: PublishedWorkloads
  readonly records: VolumeRecords
  /** Makes the delivery to a target path; nothing is touched by that. */
  readonly deliverTo: (target: TargetPath, gid: number | undefined) => VolumeDelivery
  readonly settings: PublishSettings
  readonly log: Log
}

/** One pod's author may list thousands of inline volumes; each is a mount, a socket and an SVID. */
const MAX_VOLUMES_PER_POD = 16

/** A first publish on its way. */
interface Flight {
  readonly target: TargetPath
  readonly done: Promise<void>
  /** The volume is being unpublished. */
  readonly abandon: () => void
}

/** The volumes that kubelet asked for, from publish to unpublish. */
export class Volumes {
  readonly #dependencies: VolumesDependencies
  readonly #flights = new Map<string, Flight>()
  readonly #removals = new Map<string, Promise<void>>()
  /** Where volumes are served. */
  readonly #published = new Map<string, TargetPath>()

  constructor(dependencies: VolumesDependencies) {
    this.#dependencies = dependencies
  }

  /**
   * Serves a publish. kubelet repeats it every minute or so, and in bursts: from the second on it brings a fresh token
   * and is answered OK whatever it says else, even once the SVID has expired, for an error would only make kubelet back
   * off and the next token come later (design §10). On a failure of the first nothing is left behind: kubelet may never
   * unpublish a volume whose publish it takes to have failed for good.
   */
  async publish(request: NodePublishVolumeRequest): Promise<void> {
    const { settings, workloads } = this.#dependencies
    const reference = parsePublishReference(request, settings)
    const { volumeId, target } = reference
    for (let removal; (removal = this.#removals.get(volumeId));) await removal.catch(() => {})
    // No await from here until the flight is on record: an unpublish must see it.
    const known = this.#flights.get(volumeId)?.target ?? this.#published.get(volumeId)
    if (known) {
      if (known.path !== target.path) refuseTarget()
      try {
        workloads.refreshToken(volumeId, tokenOf(request, reference, settings))
      } catch (error) {
        this.#dependencies.log.warn({ volumeId, code: codeOf(error) }, 'the token of a republish is not used')
      }
      return this.#flights.get(volumeId)?.done
    }
    const first = parsePublish(request, settings)
    this.#checkCount(target.podUid)
    return this.#takeOff(first)
  }

  /** Ends a volume, known or not, half made or whole. Waits for nobody but the node itself. */
  async unpublish(request: NodeUnpublishVolumeRequest): Promise<void> {
    const { volumeId, target } = parseUnpublish(request, this.#dependencies.settings)
    const known = this.#flights.get(volumeId)?.target ?? this.#published.get(volumeId)
    if (known && known.path !== target.path) refuseTarget()
    const running = this.#removals.get(volumeId)
    if (running) return running
    const removal = this.#remove(volumeId, target).finally(() => this.#removals.delete(volumeId))
    this.#removals.set(volumeId, removal)
    return removal
  }

  /** Takes up a volume that was published before the agent was started. */
  async recover({ volumeId, targetPath, pod, gid }: VolumeRecord): Promise<void> {
    const { deliverTo, settings, workloads } = this.#dependencies
    const target = parseTargetPath(targetPath, settings.kubeletDirectory)
    const delivery = deliverTo(target, gid)
    await workloads.recover({ id: volumeId, pod, owner: pod.podUid, delivery })
    this.#published.set(volumeId, target)
  }

  /** Refused for good: only another pod spec helps. What is served already, or recovered, is never taken away for it. */
  #checkCount(podUid: string): void {
    const { maxVolumesPerPod = MAX_VOLUMES_PER_POD } = this.#dependencies.settings
    const targets = [...Array.from(this.#flights.values(), ({ target }) => target), ...this.#published.values()]
    if (targets.filter((target) => target.podUid === podUid).length < maxVolumesPerPod) return
    throw new IdentityError(
      'volume_request_invalid',
      `a pod may have at most ${maxVolumesPerPod} volumes of this driver`,
    )
  }

  #takeOff(request: PublishRequest): Promise<void> {
    const abandoned = new AbortController()
    const { volumeId } = request
    const done = this.#firstPublish(request, abandoned.signal).finally(() => this.#flights.delete(volumeId))
    const abandon = () => abandoned.abort(new IdentityError('workload_unknown', 'the volume was unpublished meanwhile'))
    this.#flights.set(volumeId, { target: request.target, done, abandon })
    return done
  }

  async #firstPublish({ volumeId, target, pod, token, gid }: PublishRequest, abandoned: AbortSignal): Promise<void> {
    const { deliverTo, records, workloads, log } = this.#dependencies
    const delivery = deliverTo(target, gid)
    let holds = false
    try {
      // The record first: what is mounted without one is not found again.
      await records.save({ volumeId, targetPath: target.path, pod, gid })
      // An agent that has lost its record finds a volume that containers use: it is taken up again, never emptied.
      holds = (await delivery.exists()) && (await delivery.read()) !== undefined
      abandoned.throwIfAborted()
      // Mounted while the broker is asked, who takes as long; where that fails, nothing is waited for.
      const mounted = delivery.prepare()
      const stopped = mounted.catch(() => workloads.remove(volumeId)).catch(() => {})
      try {
        await this.#serve(holds, { id: volumeId, pod, owner: pod.podUid, delivery, token })
      } finally {
        // What is removed late would be the next publish's.
        await stopped
        await mounted
      }
      abandoned.throwIfAborted()
      this.#published.set(volumeId, target)
    } catch (error) {
      await this.#cleanUp(volumeId, delivery, holds).catch((left: unknown) => {
        log.error({ volumeId, code: codeOf(left), err: left }, 'a failed publish could not be cleaned up')
      })
      throw error
    }
  }

  async #cleanUp(volumeId: string, delivery: VolumeDelivery, holds: boolean): Promise<void> {
    if (holds) return delivery.close()
    await delivery.remove()
    await this.#dependencies.records.delete(volumeId)
  }

  async #serve(holds: boolean, workload: WorkloadRequest & { readonly token: string }): Promise<void> {
    const { workloads } = this.#dependencies
    if (!holds) return workloads.add(workload)
    await workloads.recover(workload)
    workloads.refreshToken(workload.id, workload.token)
  }

  async #remove(volumeId: string, target: TargetPath): Promise<void> {
    const { workloads, records, deliverTo } = this.#dependencies
    const flight = this.#flights.get(volumeId)
    flight?.abandon()
    await workloads.remove(volumeId)
    await flight?.done.catch(() => {})
    // Whatever is left on the path, for example of an agent that is no more.
    await deliverTo(target, undefined).remove()
    await records.delete(volumeId)
    this.#published.delete(volumeId)
  }
}

function refuseTarget(): never {
  throw new IdentityError('volume_request_invalid', 'the volume is published on another target_path')
}
