import { IdentityError } from '../../core/runtime/errors.ts'
import type { X509Bundle } from '../../core/spiffe/bundle.ts'
import type { ApiConnection, ApiResponse } from './api-connection.ts'
import { parseJson } from './json.ts'
import { type BundleObject, type BundlePlace, verdictOn } from './trust-bundle-objects.ts'

/** `unserved`: the API server has no objects of that kind. */
export type Published = 'published' | 'current' | 'unserved'

/** Somebody else may change the object between our look and our write; so often we look again. */
const MAX_LOOKS = 5

/**
 * Brings the bundle to its place, unless a newer one is there.
 *
 * @throws `IdentityError` `bundle_not_published` if it must not be; `kubernetes_unavailable`, `kubernetes_forbidden`.
 */
export async function publishBundle(
  api: ApiConnection,
  { title, collection, name, objectOf }: BundlePlace,
  bundle: X509Bundle,
  signal: AbortSignal,
): Promise<Published> {
  const path = `${collection}/${encodeURIComponent(name)}`
  for (let look = 0; look < MAX_LOOKS; look += 1) {
    const found = await api.send({ method: 'GET', path, background: true }, signal)
    const there = found.status === 404 ? undefined : (parsed(found, title) as BundleObject)
    const verdict = verdictOn(there, objectOf(bundle))
    if (verdict.do === 'keep') return 'current'
    if (verdict.do === 'refuse') throw notPublished(title, verdict.because)
    const written = await api.send(
      {
        ...(verdict.do === 'create' ? { method: 'POST', path: collection } : { method: 'PUT', path }),
        body: JSON.stringify(verdict.object),
        background: true,
      },
      signal,
    )
    if (written.status < 300) return 'published'
    // One that was made, changed or deleted meanwhile is looked at again.
    if (written.status === 404 && verdict.do === 'create' && namesNothing(written)) return 'unserved'
    if (written.status !== 409 && !(written.status === 404 && verdict.do === 'replace')) parsed(written, title)
  }
  throw notPublished(title, 'others keep changing it')
}

/** A namespace that does not exist is named; of a kind that is not served there is nothing to name. */
function namesNothing({ body }: ApiResponse): boolean {
  try {
    return (JSON.parse(body) as { details?: { name?: unknown } }).details?.name === undefined
  } catch {
    return true
  }
}

function parsed({ status, body }: ApiResponse, title: string): unknown {
  if (status < 300) return parseJson(body)
  throw notPublished(title, `the API server answers ${status}${saidIn(body)}`)
}

const MAX_QUOTED = 300

/** A bundle is no secret, and so may be quoted. */
function saidIn(body: string): string {
  try {
    const { message } = JSON.parse(body) as { message?: unknown }
    return typeof message === 'string' ? `: ${message.slice(0, MAX_QUOTED)}` : ''
  } catch {
    return ''
  }
}

function notPublished(title: string, why: string): IdentityError {
  return new IdentityError('bundle_not_published', `the trust bundle is not published as ${title}: ${why}`)
}
