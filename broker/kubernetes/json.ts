import { IdentityError } from '../../core/runtime/errors.ts'

/** JSON of the API server. The parser's message quotes what it read, and so is not kept. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new IdentityError('kubernetes_unavailable', 'the API server answers something that is not JSON', {
      retryAfterMs: 1000,
    })
  }
}
