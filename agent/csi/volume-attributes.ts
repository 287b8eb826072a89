import { IdentityError } from '../../core/runtime/errors.ts'
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

/** Fit for an event and a log line, whatever a pod's author wrote. */
function shown(name: string): string {
  const short = name.length > MAX_SHOWN ? `${name.slice(0, MAX_SHOWN)}…` : name
  return `"${short.replaceAll(/[^\x21-\x7e…]|["\\]/g, '?')}"`
}
