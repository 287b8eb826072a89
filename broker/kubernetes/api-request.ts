/** What a body is, where it is not plain JSON. */
export const MERGE_PATCH = 'application/merge-patch+json'

/** What is asked of the API server. */
export interface ApiRequest {
  /** One that changes something may be sent twice where a kept connection breaks: a repeated POST is then a 409. */
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly path: string
  readonly body?: string
  /** Default: `application/json`. */
  readonly contentType?: string
  readonly accept?: string
  /** How much of an answer is read; default: 4 MiB. */
  readonly maxBytes?: number
  /**
   * No pod waits for it: it may take longer, and a server that has no time for it (429, as long as its cache of one
   * resource is not filled) is still asked for the rest.
   */
  readonly background?: boolean
}
