import { codeOf } from '../../core/runtime/errors.ts'
import { ERROR_CODES } from '../../core/runtime/error-codes.ts'

/** What the program ends with. A script may rely on these; docs/cli.md lists them. */
export const EXIT = {
  good: { code: 0, meaning: 'all is well, or what was asked for was found' },
  failed: { code: 1, meaning: 'a check failed, or what was asked for does not exist' },
  usage: { code: 2, meaning: 'the command line, or a file that it names, is wrong' },
  unreachable: { code: 3, meaning: 'the API server or the broker cannot be reached, or is not what it should be' },
  refused: { code: 4, meaning: 'the API server or the broker refused: a permission is missing' },
} as const

export type Exit = keyof typeof EXIT

const BY_STATUS: Readonly<Record<string, Exit>> = {
  INVALID_ARGUMENT: 'usage',
  UNAUTHENTICATED: 'refused',
  PERMISSION_DENIED: 'refused',
  FAILED_PRECONDITION: 'usage',
  UNAVAILABLE: 'unreachable',
  DEADLINE_EXCEEDED: 'unreachable',
}

/** Where the status alone would mislead. */
const BY_CODE: Readonly<Record<string, Exit>> = {
  // Whoever answers is not the broker, so the broker was not reached.
  chain_untrusted: 'unreachable',
  kubernetes_forbidden: 'refused',
}

/** How the program ends after `error`. */
export function exitOf(error: unknown): Exit {
  const code = codeOf(error)
  return BY_CODE[code] ?? BY_STATUS[ERROR_CODES[code].status] ?? 'failed'
}
