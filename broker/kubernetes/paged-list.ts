import { IdentityError } from '../../core/runtime/errors.ts'
import { type ApiConnection, isTooLarge } from './api-connection.ts'
import type { ApiRequest } from './api-request.ts'
import { MAX_OBJECT_BYTES } from './http-exchange.ts'
import { parseJson } from './json.ts'
import { PageSize } from './page-size.ts'
import { type ApiObject, isApiObject } from './watch-events.ts'

/** A list and the version that a watch goes on from. */
export interface Listed {
  readonly version: string
}

interface Page {
  readonly metadata?: { readonly resourceVersion?: unknown; readonly continue?: unknown }
  readonly items?: unknown
}

/** No collection is this long; a server that goes on for ever is cut off. */
const MAX_PAGES = 100_000

/**
 * Lists a collection page by page, so that memory holds one page and what `take` keeps of it. A page that is too large to
 * read is asked for in smaller ones, until they are small enough to grow again.
 *
 * @throws {@link IdentityError} `kubernetes_unavailable`, `kubernetes_forbidden`.
 */
export async function listPaged(
  api: ApiConnection,
  {
    path,
    pageSize,
    take,
  }: { readonly path: string; readonly pageSize: number; readonly take: (object: ApiObject) => void },
  signal: AbortSignal,
): Promise<Listed> {
  const size = new PageSize(pageSize)
  let next = ''
  for (let pages = 0; pages < MAX_PAGES; pages += 1) {
    const query = `${path.includes('?') ? '&' : '?'}limit=${size.limit}${next && `&continue=${encodeURIComponent(next)}`}`
    const maxBytes = size.limit === 1 ? MAX_OBJECT_BYTES : undefined
    const page = await pageOf(api, { path: path + query, ...(maxBytes && { maxBytes }) }, signal).catch(
      (error: unknown) => {
        if (isTooLarge(error) && size.tooLarge()) return undefined
        throw error
      },
    )
    if (!page) continue
    size.wasRead()
    const { metadata, items } = page
    if (!Array.isArray(items)) throw unusable('a list without items')
    for (const item of items as unknown[]) {
      if (!isApiObject(item)) throw unusable('an object without a name')
      take(item)
    }
    next = typeof metadata?.continue === 'string' ? metadata.continue : ''
    if (next !== '') continue
    if (typeof metadata?.resourceVersion !== 'string') throw unusable('a list without a version')
    return { version: metadata.resourceVersion }
  }
  throw unusable('a list without an end')
}

async function pageOf(
  api: ApiConnection,
  asked: Pick<ApiRequest, 'path' | 'maxBytes'>,
  signal: AbortSignal,
): Promise<Page> {
  const { status, body } = await api.send({ method: 'GET', background: true, ...asked }, signal)
  if (status === 200) return (parseJson(body) as Page | null) ?? {}
  // 404: the CRD is not there yet. 410: the list took longer than the server remembers; it begins anew.
  const why =
    status === 404 ? 'does not know this kind of object: is its CRD installed?' : `answers ${status} to a list`
  throw new IdentityError('kubernetes_unavailable', `the API server ${why}`, { retryAfterMs: 1000 })
}

function unusable(what: string): IdentityError {
  return new IdentityError('kubernetes_unavailable', `the API server answers ${what}`, { retryAfterMs: 1000 })
}
