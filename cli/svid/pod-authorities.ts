import { IdentityError } from '../../core/runtime/errors.ts'
import type { X509Bundle } from '../../core/spiffe/bundle.ts'
import type { FoundSvid } from './svid-report.ts'

/**
 * Whom to verify a pod's SVID with. A container writes what it likes into the files that it shows, so that its own
 * `ca.crt` proves nothing to an operator: the bundle that the broker publishes decides, where it can be read.
 */
export async function authoritiesForPod(
  ofThePod: readonly Uint8Array[],
  published: () => Promise<X509Bundle | undefined>,
): Promise<Pick<FoundSvid, 'authorities' | 'vouching'>> {
  try {
    const bundle = await published()
    if (bundle)
      return { authorities: bundle.authorities.map(({ der }) => der), vouching: 'of the published trust bundle' }
  } catch (error) {
    if (!(error instanceof IdentityError)) throw error
  }
  return { authorities: ofThePod, vouching: 'of the pod’s own ca.crt alone: the published trust bundle cannot be read' }
}
