import { codeOf, IdentityError } from '../../core/runtime/errors.ts'

/** What an operator is told of `error`. What is no refusal is a bug, and may hold anything: only the log has it. */
export function described(error: unknown): string {
  return error instanceof IdentityError ? `${error.code}: ${error.message}` : codeOf(error)
}
