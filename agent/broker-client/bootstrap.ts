import { readFile, stat } from 'node:fs/promises'
import { IdentityError } from '../../core/runtime/errors.ts'
import { decodeBundleDocument } from '../../core/spiffe/bundle-document.ts'
import { bundleFromPem, type X509Bundle } from '../../core/spiffe/bundle.ts'
import type { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import type { Bundles } from '../workloads/workload.ts'
import type { SavedBundles } from './saved-bundles.ts'

/** A bundle and when it was written, in milliseconds since 1970. */
export interface Dated {
  readonly bundles: Bundles
  readonly writtenAtMs: number
}

/**
 * Which of the two to begin with. The newer one: by sequence where both have one, else by when it was written. Not both
 * together, for what one of them no longer holds may have been taken out for a reason.
 */
export function newerOf(saved: Dated | undefined, file: Dated | undefined): Bundles | undefined {
  if (!saved || !file) return (saved ?? file)?.bundles
  const [savedSequence, fileSequence] = [saved.bundles.own.sequence, file.bundles.own.sequence]
  const fileIsNewer =
    savedSequence > 0n && fileSequence > 0n ? fileSequence > savedSequence : file.writtenAtMs > saved.writtenAtMs
  // The file knows our own trust domain alone.
  return fileIsNewer ? { own: file.bundles.own, federated: saved.bundles.federated } : saved.bundles
}

/** What to trust after the broker was not believed: what is on disk may have become newer than what is held. */
export function newerTrust(held: Bundles, found: Bundles): Bundles {
  return found.own.sequence > held.own.sequence || found.own.sequence === 0n ? found : held
}

interface Sources {
  readonly trustDomain: TrustDomain
  /** A file that the operator provides (ConfigMap, ClusterTrustBundle): PEM, or a SPIFFE bundle document. */
  readonly bootstrapFile: string | undefined
  readonly saved: SavedBundles
}

/**
 * The trust to begin with: what was saved last or what the operator's file holds; never whatever the other side shows
 * (design §3).
 *
 * @throws {@link IdentityError} `bundle_invalid` if there is neither.
 */
export async function bootstrapBundles({ trustDomain, bootstrapFile, saved }: Sources): Promise<Bundles> {
  const bundles = await saved.read()
  const before = bundles && { bundles, writtenAtMs: await writtenAt(saved.file) }
  const file = bootstrapFile === undefined ? undefined : await fileBundle(bootstrapFile, trustDomain, before)
  const newest = newerOf(before, file)
  if (!newest) {
    throw new IdentityError('bundle_invalid', 'there is no trust bundle to begin with: give bootstrapBundleFile')
  }
  return newest
}

/** An unreadable file matters only where nothing was saved. */
async function fileBundle(
  file: string,
  trustDomain: TrustDomain,
  saved: Dated | undefined,
): Promise<Dated | undefined> {
  try {
    const own = parseBundle(trustDomain, await readFile(file, 'utf8'))
    if (own.authorities.length === 0) throw new IdentityError('bundle_invalid', `${file} holds no authority`)
    return { bundles: { own, federated: [] }, writtenAtMs: await writtenAt(file) }
  } catch (error) {
    if (saved) return undefined
    if (error instanceof IdentityError) throw error
    throw new IdentityError('bundle_invalid', `${file} cannot be read: ${(error as NodeJS.ErrnoException).code}`)
  }
}

function parseBundle(trustDomain: TrustDomain, text: string): X509Bundle {
  return text.trimStart().startsWith('{')
    ? decodeBundleDocument(trustDomain, text).x509
    : bundleFromPem(trustDomain, text)
}

async function writtenAt(file: string): Promise<number> {
  return (await stat(file)).mtimeMs
}
