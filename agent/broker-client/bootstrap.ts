import { IdentityError } from '../../core/runtime/errors.ts'
import { readSmallFile } from '../../core/runtime/small-file.ts'
import { decodeBundleDocument } from '../../core/spiffe/bundle-document.ts'
import { bundleFromPem, type X509Bundle } from '../../core/spiffe/bundle.ts'
import type { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import type { Bundles } from '../workloads/workload.ts'
import type { Trust } from './held-trust.ts'
import type { SavedBundles } from './saved-bundles.ts'

/**
 * Whether `found` takes the place of what is `held`. By sequence alone: when a file was written says nothing about when
 * its contents were true, for a ConfigMap is projected anew around old ones. A file without a sequence, or with a lower
 * one, counts only once nothing that is held can be valid any more; by then there is nothing left to roll back.
 */
export function supersedes(found: X509Bundle, held: X509Bundle, now: Date): boolean {
  return found.sequence > held.sequence || (!hasValidAuthority(held, now) && hasValidAuthority(found, now))
}

function hasValidAuthority({ authorities }: X509Bundle, now: Date): boolean {
  return authorities.some(({ notAfter }) => notAfter > now)
}

/**
 * What to trust after the broker was not believed: what is on disk may have become newer than what is held. What the
 * broker has not said came from the operator's file and from nobody else, and so follows it.
 */
export function newerTrust({ bundles: held, heard }: Trust, found: Bundles, now: Date): Bundles {
  const isFromFile = held.own.sequence === 0n || held.own.sequence > heard
  return (isFromFile && found.own.sequence >= heard) || supersedes(found.own, held.own, now) ? found : held
}

interface Sources {
  readonly trustDomain: TrustDomain
  /** A file that the operator provides (ConfigMap, ClusterTrustBundle): PEM, or a SPIFFE bundle document. */
  readonly bootstrapFile: string | undefined
  readonly saved: SavedBundles
  readonly now: Date
}

/**
 * The trust to begin with: what was saved last or what the operator's file holds, whichever {@link supersedes} the other;
 * never both together, for what one of them no longer holds may have been withdrawn; and never whatever the other side
 * shows (design §3).
 *
 * @throws {@link IdentityError} `bundle_invalid` if there is neither; `config_invalid` if others may write what is saved.
 */
export async function bootstrapBundles({ trustDomain, bootstrapFile, saved, now }: Sources): Promise<Bundles> {
  const before = await saved.read()
  const own = bootstrapFile === undefined ? undefined : await fileBundle(bootstrapFile, trustDomain, before)
  if (before && own) return supersedes(own, before.own, now) ? { own, federated: before.federated } : before
  if (before) return before
  if (own) return { own, federated: [] }
  throw new IdentityError('bundle_invalid', 'there is no trust bundle to begin with: give bootstrapBundleFile')
}

/** Thousands of authorities; there are three. */
const MAX_BYTES = 4 * 1024 * 1024

/** What an agent begins with. */
export interface Beginning {
  /** Whom to take for the broker. */
  readonly trust: Trust
  /** What pods get until it has spoken: its last word, which a file adds nothing to. */
  readonly served: Bundles
}

/** As {@link bootstrapBundles}; where all that the broker has said has expired, everything begins anew. */
export async function bootstrapTrust(sources: Sources): Promise<Beginning> {
  const bundles = await bootstrapBundles(sources)
  const said = await sources.saved.read()
  const heard = said && said.own.sequence <= bundles.own.sequence ? said.own.sequence : 0n
  const served = said && hasValidAuthority(said.own, sources.now) ? said : bundles
  return { trust: { bundles, heard }, served }
}

/** An unreadable file matters only where nothing was saved. */
async function fileBundle(
  file: string,
  trustDomain: TrustDomain,
  saved: Bundles | undefined,
): Promise<X509Bundle | undefined> {
  try {
    const own = parseBundle(trustDomain, await readSmallFile(file, MAX_BYTES))
    if (own.authorities.length === 0) throw new IdentityError('bundle_invalid', `${file} holds no authority`)
    return own
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
