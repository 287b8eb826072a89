import type { ErrorCode } from './error-codes.ts'

/** What a refusal may carry besides its words. */
export interface IdentityErrorOptions extends ErrorOptions {
  /** After how many milliseconds it makes sense to try again. */
  readonly retryAfterMs?: number
  /** Facts that a program can act on, for example `{ keyType: 'rsa-2048' }`. Never a token, a key or a caller's secret. */
  readonly facts?: Readonly<Record<string, string>>
}

/**
 * An expected refusal.
 *
 * `message` is written for the caller and crosses the wire: it says what was wrong and what to do. What only an
 * operator may see goes in `cause`, which is logged and never sent. Anything thrown that is not an `IdentityError` is a
 * bug, and reaches the caller as `internal` with no detail.
 */
export class IdentityError extends Error {
  override readonly name = 'IdentityError'
  readonly code: ErrorCode
  readonly retryAfterMs: number | undefined
  readonly facts: Readonly<Record<string, string>>

  constructor(code: ErrorCode, message: string, options: IdentityErrorOptions = {}) {
    super(message, options)
    this.code = code
    this.retryAfterMs = options.retryAfterMs
    this.facts = options.facts ?? {}
  }
}

/** The code under which `error` is counted and recorded: its own, or `internal` for what is not a refusal. */
export function codeOf(error: unknown): ErrorCode {
  return error instanceof IdentityError ? error.code : 'internal'
}
