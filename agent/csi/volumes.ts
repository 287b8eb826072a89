import { codeOf, IdentityError } from '../../core/runtime/errors.ts'
import type { NodePublishVolumeRequest, NodeUnpublishVolumeRequest } from '../../proto/gen/third_party/csi/v1/csi_pb.ts'
import {
  parseFirstPublish,
  parsePublish,
  parsePublishReference,
  parseUnpublish,
  type PublishSettings,
  tokenOf,
  type VolumeReference,
} from './publish-request.ts'
import { parseTargetPath, type TargetPath } from './target-path.ts'
import { serveUnserved, type ServingDependencies, type UnservedPublish } from './unserved-volume.ts'
import type { VolumeRecord } from './volume-records.ts'

export interface VolumesDependencies extends ServingDependencies {
  readonly settings: PublishSettings
}

/** One pod's author may list thousands of inline volumes; each is a mount, a socket and an SVID. */
const MAX_VOLUMES_PER_POD = 16

/** A publish of a volume that is not served yet, on its way. */
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
   * unpublish a volume whose publish it takes to have failed for good. What a first publish is refused for, a volume that
   * containers use already is not (design §6).
   */
  async publish(request: NodePublishVolumeRequest): Promise<void> {
    const { settings } = this.#dependencies
    const reference = parsePublishReference(request, settings)
    const { volumeId, target } = reference
    for (let removal; (removal = this.#removals.get(volumeId));) await removal.catch(() => {})
    // No await from here until the flight is on record: an unpublish must see it.
    const known = this.#flights.get(volumeId)?.target ?? this.#published.get(volumeId)
    if (known) {
      if (known.path !== target.path) refuseTarget()
      this.#refreshToken(request, reference)
      return this.#flights.get(volumeId)?.done
    }
    const isFull = this.#isFull(target.podUid)
    return this.#takeOff({
      publish: parsePublish(request, settings),
      asFirst: () => {
        if (isFull) this.#refuseCount()
        return parseFirstPublish(request, settings)
      },
      refreshToken: () => this.#refreshToken(request, reference),
    })
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

  /** A token that is missing or another pod's is told of, and not used. */
  #refreshToken(request: NodePublishVolumeRequest, reference: VolumeReference): void {
    const { volumeId } = reference
    const { settings, workloads, log } = this.#dependencies
    try {
      workloads.refreshToken(volumeId, tokenOf(request, reference, settings))
    } catch (error) {
      log.warn({ volumeId, code: codeOf(error) }, 'the token of a republish is not used')
    }
  }

  get #maxVolumesPerPod(): number {
    return this.#dependencies.settings.maxVolumesPerPod ?? MAX_VOLUMES_PER_POD
  }

  /** Those on their way count too; what is served already, or recovered, is never taken away for it. */
  #isFull(podUid: string): boolean {
    const targets = [...Array.from(this.#flights.values(), ({ target }) => target), ...this.#published.values()]
    return targets.filter((target) => target.podUid === podUid).length >= this.#maxVolumesPerPod
  }

  /** Refused for good: only another pod spec helps. */
  #refuseCount(): never {
    const most = this.#maxVolumesPerPod
    throw new IdentityError('volume_request_invalid', `a pod may have at most ${most} volumes of this driver`)
  }

  #takeOff(unserved: UnservedPublish): Promise<void> {
    const abandoned = new AbortController()
    const { volumeId, target } = unserved.publish
    const done = serveUnserved(unserved, this.#dependencies, abandoned.signal)
      .then(() => void this.#published.set(volumeId, target))
      .finally(() => this.#flights.delete(volumeId))
    const abandon = () => abandoned.abort(new IdentityError('workload_unknown', 'the volume was unpublished meanwhile'))
    this.#flights.set(volumeId, { target, done, abandon })
    return done
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
