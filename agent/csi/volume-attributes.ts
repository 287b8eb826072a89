import { IdentityError } from '../../core/runtime/errors.ts'
import type { VolumeCapability } from '../../proto/gen/third_party/csi/v1/csi_pb.ts'
import type { StringMap } from './service-account-token.ts'

/** What a pod's author may write in `volumeAttributes`; nothing so far. */
const KNOWN: readonly string[] = []
/** kubelet's own, which it puts over whatever the pod's author wrote there. */
const KUBELETS = 'csi.storage.k8s.io/'
const MAX_SHOWN = 64

/** Refuses attributes that are not ours: a misspelt one would be a wish that nobody grants. */
export function checkAttributes(context: StringMap): void {
  const unknown = Object.keys(context).find((name) => !name.startsWith(KUBELETS) && !KNOWN.includes(name))
  if (unknown === undefined) return
  const known = KNOWN.length === 0 ? 'there are none' : `known are ${KNOWN.join(', ')}`
  throw new IdentityError('volume_attribute_unknown', `the volume attribute ${shown(unknown)} is unknown; ${known}`)
}

/** Refuses a file system of the author's choice, which kubelet hands on: it would not be granted either. */
export function checkFileSystem(capability: VolumeCapability | undefined): void {
  const wanted = capability?.accessType.case === 'mount' ? capability.accessType.value.fsType : ''
  if (wanted === '' || wanted === 'tmpfs') return
  throw new IdentityError(
    'volume_attribute_invalid',
    `the volume is always a tmpfs, not ${shown(wanted)}: remove fsType`,
  )
}

/** Fit for an event and a log line, whatever a pod's author wrote. */
function shown(name: string): string {
  const short = name.length > MAX_SHOWN ? `${name.slice(0, MAX_SHOWN)}…` : name
  return `"${short.replaceAll(/[^\x21-\x7e…]|["\\]/g, '?')}"`
}
