/** An object of the API server, as far as every object is alike. */
export interface ApiObject {
  readonly metadata: {
    readonly name: string
    readonly namespace?: string
    readonly resourceVersion?: string
    readonly continue?: string
  }
}

/** One line of a watch. */
export type WatchEvent =
  | { readonly type: 'put' | 'removed'; readonly object: ApiObject; readonly version: string }
  /** Nothing has changed up to this version. */
  | { readonly type: 'bookmark'; readonly version: string }
  /** The watch cannot go on; `410` is a version that the server has forgotten. */
  | { readonly type: 'error'; readonly code: number }
  /** Nothing that a watch should say: what is held can no longer be believed. */
  | { readonly type: 'garbage' }

/** Reads a line of a watch. Never throws: it comes from the network. */
export function readWatchEvent(line: string): WatchEvent {
  let event: { type?: unknown; object?: { metadata?: Record<string, unknown>; code?: unknown } | null } | null
  try {
    event = JSON.parse(line) as typeof event
  } catch {
    return { type: 'garbage' }
  }
  const { type, object } = event ?? {}
  if (type === 'ERROR') return { type: 'error', code: typeof object?.code === 'number' ? object.code : 0 }
  const version = object?.metadata?.['resourceVersion']
  if (typeof version !== 'string' || version === '') return { type: 'garbage' }
  if (type === 'BOOKMARK') return { type: 'bookmark', version }
  if (!isApiObject(object)) return { type: 'garbage' }
  if (type === 'ADDED' || type === 'MODIFIED') return { type: 'put', object, version }
  if (type === 'DELETED') return { type: 'removed', object, version }
  return { type: 'garbage' }
}

/** Whether `value` has a name; all else is for those who know the kind. */
export function isApiObject(value: unknown): value is ApiObject {
  const { metadata } = (value ?? {}) as {
    readonly metadata?: { readonly name?: unknown; readonly namespace?: unknown }
  }
  return (
    typeof metadata?.name === 'string' &&
    metadata.name !== '' &&
    (metadata.namespace === undefined || typeof metadata.namespace === 'string')
  )
}

/** `namespace/name`, or the name of what has no namespace. */
export function keyOf({ metadata: { namespace, name } }: ApiObject): string {
  return namespace === undefined ? name : `${namespace}/${name}`
}
