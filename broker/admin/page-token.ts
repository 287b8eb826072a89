import { create, type DescMessage, type MessageShape, toBinary } from '@bufbuild/protobuf'
import { hash } from 'node:crypto'
import { IdentityError } from '../../core/runtime/errors.ts'

const DEFAULT_SIZE = 100
export const MAX_PAGE_SIZE = 500
const MAX_CHARACTERS = 1024

/** A request for a page of a list. */
type PagedRequest = { readonly pageSize: number; readonly pageToken: string }

/** What a page token holds: where to go on, and which request it belongs to. */
interface Position {
  readonly after: string
  readonly of: string
}

/** A page of a list, as it was asked for. */
export interface AskedPage {
  /** Where to go on; `undefined` for the first page. */
  readonly after: string | undefined
  readonly size: number
  /** The token of the page after this one; empty without one. */
  readonly tokenOf: (next: string | undefined) => string
}

/**
 * Reads what page is asked for. A token says nothing but a place in the list: what may be listed is decided anew on each
 * call, so that nothing is gained by making one up.
 *
 * @param isPlace whether a text can be a place in this list at all.
 * @throws `IdentityError` `request_invalid`.
 */
export function askedPage<D extends DescMessage>(
  schema: D,
  request: MessageShape<D> & PagedRequest,
  isPlace: (text: string) => boolean,
): AskedPage {
  const { pageSize, pageToken } = request
  if (pageSize > MAX_PAGE_SIZE) {
    throw new IdentityError('request_invalid', `page_size is ${pageSize}, and not within 1 and ${MAX_PAGE_SIZE}`)
  }
  const of = fingerprint(schema, request)
  return {
    after: pageToken === '' ? undefined : placeIn(pageToken, of, isPlace),
    size: pageSize === 0 ? DEFAULT_SIZE : pageSize,
    tokenOf: (next) =>
      next === undefined
        ? ''
        : Buffer.from(JSON.stringify({ after: next, of } satisfies Position)).toString('base64url'),
  }
}

/** Of what is asked, whatever the page. */
function fingerprint<D extends DescMessage>(schema: D, request: MessageShape<D> & PagedRequest): string {
  const asked = toBinary(schema, { ...create(schema), ...request, pageSize: 0, pageToken: '', $unknown: [] })
  return hash('sha256', asked, 'base64url').slice(0, 22)
}

function placeIn(token: string, of: string, isPlace: (text: string) => boolean): string {
  const position = decode(token)
  if (position?.of !== of) {
    throw new IdentityError('request_invalid', 'page_token is not of a page of this very list; begin anew without it')
  }
  if (!isPlace(position.after)) throw new IdentityError('request_invalid', 'page_token names no place in this list')
  return position.after
}

function decode(token: string): Position | undefined {
  if (token.length > MAX_CHARACTERS || !/^[\w-]+$/.test(token)) return undefined
  try {
    const value: unknown = JSON.parse(Buffer.from(token, 'base64url').toString('utf8'))
    const { after, of } = (value ?? {}) as Partial<Record<keyof Position, unknown>>
    return typeof after === 'string' && typeof of === 'string' ? { after, of } : undefined
  } catch {
    return undefined
  }
}
