import { IdentityError } from '../../core/runtime/errors.ts'
import type { NodePublishVolumeRequest, VolumeCapability } from '../../proto/gen/third_party/csi/v1/csi_pb.ts'
import type { StringMap } from './service-account-token.ts'

/** What a pod's author may write in `volumeAttributes`; nothing so far. */
const KNOWN: readonly string[] = []
/** kubelet's own, which it puts over whatever the pod's author wrote there. */
const KUBELETS = 'csi.storage.k8s.io/'
const MAX_SHOWN = 64
const MAX_NAMED = 4

/** Of a publish, what the pod's author decides. */
type Wishes = Pick<NodePublishVolumeRequest, 'readonly' | 'volumeContext' | 'volumeCapability'>

/**
 * Refuses what a pod's author wrote of his volume and nobody grants. All of it at once: a pod's volumes cannot be edited, so
 * each refusal costs a pod.
 *
 * @throws {@link IdentityError} with the code of the first, and what is wrong with each in its message.
 */
export function checkWishes({ readonly, volumeContext, volumeCapability }: Wishes): void {
  const problems = [
    readonly ? undefined : notReadOnly(),
    attributesProblem(volumeContext),
    fileSystemProblem(volumeCapability),
  ].filter((problem) => problem !== undefined)
  const [first, ...others] = problems
  if (!first) return
  if (others.length === 0) throw first
  throw new IdentityError(first.code, problems.map(({ message }) => message).join('; and '))
}

export function notReadOnly(): IdentityError {
  return new IdentityError('volume_not_read_only', 'the volume must have readOnly: true')
}

/** A misspelt attribute would be a wish that nobody grants. */
function attributesProblem(context: StringMap): IdentityError | undefined {
  const unknown = Object.keys(context).filter((name) => !name.startsWith(KUBELETS) && !KNOWN.includes(name))
  if (unknown.length === 0) return undefined
  const known = KNOWN.length === 0 ? 'the driver takes none' : `known are ${KNOWN.join(', ')}`
  const named = unknown.slice(0, MAX_NAMED).map(shown).join(', ')
  const more = unknown.length > MAX_NAMED ? ` and ${unknown.length - MAX_NAMED} more` : ''
  const are = unknown.length === 1 ? 'attribute is' : 'attributes are'
  return new IdentityError('volume_attribute_unknown', `the volume ${are} unknown: ${named}${more} (${known})`)
}

/** A file system of the author's choice, which kubelet hands on, would not be granted either. */
function fileSystemProblem(capability: VolumeCapability | undefined): IdentityError | undefined {
  const wanted = capability?.accessType.case === 'mount' ? capability.accessType.value.fsType : ''
  if (wanted === '' || wanted === 'tmpfs') return undefined
  const message = `the volume is always a tmpfs, not ${shown(wanted)}: remove fsType`
  return new IdentityError('volume_attribute_invalid', message)
}

/** Fit for an event and a log line, whatever a pod's author wrote. */
function shown(name: string): string {
  const short = name.length > MAX_SHOWN ? `${name.slice(0, MAX_SHOWN)}…` : name
  return `"${short.replaceAll(/[^\x21-\x7e…]|["\\]/g, '?')}"`
}
