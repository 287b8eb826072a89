import { IdentityError } from '../../core/runtime/errors.ts'
import type { MountTarget } from '../volume/tmpfs-place.ts'

/** A target path of kubelet's, taken apart. */
export interface TargetPath extends MountTarget {
  readonly path: string
  readonly podUid: string
  readonly volumeName: string
}

const MAX_CHARACTERS = 4096
/** Static pods have a hash where others have a UUID. */
const POD_UID = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,126}[A-Za-z0-9])?$/
/** Names of volumes are DNS labels. */
const VOLUME_NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/

/**
 * Reads `<kubelet directory>/pods/<uid>/volumes/kubernetes.io~csi/<volume>/mount`, the only path that kubelet asks for.
 *
 * @param kubeletDirectory kubelet's --root-dir, without a slash at its end.
 * @throws {@link IdentityError} `target_path_invalid`.
 */
export function parseTargetPath(path: string, kubeletDirectory: string): TargetPath {
  if (path.length > MAX_CHARACTERS) refuse()
  const prefix = `${kubeletDirectory}/pods/`
  const [podUid = '', volumes, plugin, volumeName = '', mount, ...more] = path.startsWith(prefix)
    ? path.slice(prefix.length).split('/')
    : []
  const fixed = volumes === 'volumes' && plugin === 'kubernetes.io~csi' && mount === 'mount' && more.length === 0
  if (!fixed || !POD_UID.test(podUid) || !VOLUME_NAME.test(volumeName)) refuse()
  return {
    path,
    podUid,
    volumeName,
    root: kubeletDirectory,
    parents: ['pods', podUid, 'volumes', 'kubernetes.io~csi', volumeName],
    name: 'mount',
  }
}

/** The path is not repeated: a caller that is not kubelet chose it. */
function refuse(): never {
  throw new IdentityError(
    'target_path_invalid',
    'target_path is not <kubelet directory>/pods/<uid>/volumes/kubernetes.io~csi/<volume>/mount',
  )
}
