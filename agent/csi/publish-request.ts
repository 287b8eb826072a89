import { IdentityError } from '../../core/runtime/errors.ts'
import type {
  NodePublishVolumeRequest,
  NodeUnpublishVolumeRequest,
  VolumeCapability,
} from '../../proto/gen/third_party/csi/v1/csi_pb.ts'
import type { PodRef } from '../workloads/workload.ts'
import { own, podToken, type StringMap } from './service-account-token.ts'
import { parseTargetPath, type TargetPath } from './target-path.ts'
import { checkWishes, notReadOnly } from './volume-attributes.ts'

/** What requests are judged by. */
export interface PublishSettings {
  /** kubelet's --root-dir, without a slash at its end. */
  readonly kubeletDirectory: string
  /** The audience of the pods' tokens. */
  readonly audience: string
  /** How many volumes of one pod are served. */
  readonly maxVolumesPerPod?: number | undefined
}

/** Which volume a call is about. */
export interface VolumeReference {
  readonly volumeId: string
  readonly target: TargetPath
}

/** What every publish says of its volume. */
export interface PublishRequest extends VolumeReference {
  readonly pod: PodRef
  /** The pod's fsGroup. */
  readonly gid: number | undefined
}

/** A first publish that may be served. */
export interface FirstPublishRequest extends PublishRequest {
  readonly token: string
}

const INFO = 'csi.storage.k8s.io/'
/** kubelet's are `csi-` and a SHA-256; they become names of files. */
const VOLUME_ID = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$/
const NAME = /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/
/** (gid_t) -1 means "unchanged" to the kernel, 0 would be root's own. */
const MAX_GID = 2 ** 32 - 2

/**
 * Reads the part of a request that every call must have. The order of checks is csi-sanity's: volume_id, target_path,
 * volume_capability, and only then what a driver demands beyond CSI.
 *
 * @throws {@link IdentityError} `volume_request_invalid` or `target_path_invalid`.
 */
export function parsePublishReference(request: NodePublishVolumeRequest, settings: PublishSettings): VolumeReference {
  checkPresent(request)
  if (request.volumeCapability?.accessType.case !== 'mount') {
    refuse('volume_capability is missing, or not of a mounted volume')
  }
  return parseReference(request, settings)
}

/** Reads the call that ends a volume; the same checks in the same order. */
export function parseUnpublish(request: NodeUnpublishVolumeRequest, settings: PublishSettings): VolumeReference {
  checkPresent(request)
  return parseReference(request, settings)
}

/**
 * Reads a pod's first publish in full. Attributes are what a pod's author wrote, the rest is kubelet's; none of it is
 * trusted more than it must be, and no error repeats a secret.
 *
 * @throws {@link IdentityError} what the pod's author, or the cluster's operator, is to put right.
 */
export function parseFirstPublish(request: NodePublishVolumeRequest, settings: PublishSettings): FirstPublishRequest {
  const publish = parseServed(request, settings)
  checkWishes(request)
  return { ...publish, token: tokenOf(request, publish, settings) }
}

/**
 * Reads of a publish what its volume cannot be served without, whoever uses it already.
 *
 * @throws {@link IdentityError} as {@link parseFirstPublish}.
 */
export function parsePublish(request: NodePublishVolumeRequest, settings: PublishSettings): PublishRequest {
  const publish = parseServed(request, settings)
  if (!request.readonly) throw notReadOnly()
  return publish
}

function parseServed(request: NodePublishVolumeRequest, settings: PublishSettings): PublishRequest {
  const reference = parsePublishReference(request, settings)
  const { volumeContext: context } = request
  if (own(context, `${INFO}ephemeral`) !== 'true') refuse('only ephemeral (inline) volumes are served')
  const pod: PodRef = {
    podUid: info(context, 'pod.uid'),
    podName: info(context, 'pod.name'),
    namespace: info(context, 'pod.namespace'),
    serviceAccount: info(context, 'serviceAccount.name'),
  }
  if (pod.podUid !== reference.target.podUid) {
    throw new IdentityError('target_path_invalid', 'target_path is in the folder of another pod')
  }
  return { ...reference, pod, gid: parseGid(request.volumeCapability) }
}

/** The token that a publish or republish brings for the pod of its target path. */
export function tokenOf(
  { secrets, volumeContext }: NodePublishVolumeRequest,
  { target }: VolumeReference,
  { audience }: PublishSettings,
): string {
  return podToken(secrets, volumeContext, audience, target.podUid)
}

function checkPresent({ volumeId, targetPath }: { volumeId: string; targetPath: string }): void {
  if (volumeId === '') refuse('volume_id is missing')
  if (targetPath === '') refuse('target_path is missing')
}

function parseReference(
  { volumeId, targetPath }: { volumeId: string; targetPath: string },
  { kubeletDirectory }: PublishSettings,
): VolumeReference {
  if (!VOLUME_ID.test(volumeId)) refuse('volume_id is not 1 to 128 letters, digits, dots, dashes and underscores')
  return { volumeId, target: parseTargetPath(targetPath, kubeletDirectory) }
}

function info(context: StringMap, name: string): string {
  const value = own(context, INFO + name)
  if (value === undefined) refuse(`${INFO}${name} is missing; set podInfoOnMount on the CSIDriver object`)
  const valid = name === 'pod.uid' || NAME.test(value)
  if (!valid) refuse(`${INFO}${name} is not a name`)
  return value
}

function parseGid(capability: VolumeCapability | undefined): number | undefined {
  const group = capability?.accessType.case === 'mount' ? capability.accessType.value.volumeMountGroup : ''
  if (group === '') return undefined
  const gid = /^(?:0|[1-9][0-9]{0,9})$/.test(group) ? Number(group) : Number.NaN
  if (!(gid <= MAX_GID)) refuse('volume_mount_group is not the number of a group')
  return gid
}

function refuse(what: string): never {
  throw new IdentityError('volume_request_invalid', what)
}
