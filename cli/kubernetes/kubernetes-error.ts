import { IdentityError } from '../../core/runtime/errors.ts'
import { printableLine } from '../../core/runtime/printable.ts'

interface Asked {
  /** For example `list nodes`. */
  readonly what: string
  readonly server: string
}

/** What a failed request to the API server means for the person who made it. */
export function kubernetesError(error: unknown, { what, server }: Asked): IdentityError {
  if (error instanceof IdentityError) return error
  const { code } = error as { readonly code?: unknown }
  // A DOMException, which is what a timeout throws, has a number of its own.
  if (typeof code !== 'number' || error instanceof DOMException) return unreachable(error, server)
  const said = messageOf(error)
  const options = { cause: error }
  if (code === 401)
    return new IdentityError('kubernetes_forbidden', `the API server does not know you (${server})`, options)
  if (code === 403) return new IdentityError('kubernetes_forbidden', said ?? `you may not ${what}`, options)
  if (code === 429 || code >= 500)
    return new IdentityError(
      'kubernetes_unavailable',
      `the API server answered ${code} to: ${what}${said ? ` (${said})` : ''}`,
      options,
    )
  return new IdentityError('request_invalid', `the API server refused to ${what}: ${said ?? code}`, options)
}

function unreachable(error: unknown, server: string): IdentityError {
  const { name, cause } = error as {
    readonly name?: unknown
    readonly cause?: { readonly code?: unknown; readonly message?: unknown }
  }
  const why =
    name === 'TimeoutError'
      ? 'no answer in time'
      : [cause?.code, cause?.message, (error as Error).message].find((text) => typeof text === 'string' && text !== '')
  return new IdentityError(
    'kubernetes_unavailable',
    `the API server at ${server} cannot be reached: ${printableLine(String(why))}`,
    {
      cause: error,
    },
  )
}

/** What the API server says in its Status object, which may be the word of a webhook: on one line, and never its
 * whole answer, which may hold what was sent. */
export function messageOf(error: unknown): string | undefined {
  const { body } = error as { readonly body?: unknown }
  try {
    const status = (typeof body === 'string' ? JSON.parse(body) : body) as { readonly message?: unknown } | undefined
    return typeof status?.message === 'string' ? printableLine(status.message) : undefined
  } catch {
    return undefined
  }
}
