import { IdentityError } from '../../core/runtime/errors.ts'
import { printable } from '../../core/runtime/printable.ts'
import { remedyOf } from './remedy.ts'

/** What an error says to people. */
export function errorText(error: unknown): string {
  // What is no refusal is a bug, and worth its stack.
  if (!(error instanceof IdentityError)) return `${printable(stackOf(error))}\n`
  const remedy = remedyOf(error)
  return `${printable(`${error.code}: ${error.message}${remedy === undefined ? '' : `\n→ ${remedy}`}`)}\n`
}

/** The same for programs. */
export function errorDocument(error: unknown): object {
  if (!(error instanceof IdentityError)) return { error: { code: 'internal', message: stackOf(error) } }
  const { code, message } = error
  return { error: { code, message, remedy: remedyOf(error) } }
}

const stackOf = (error: unknown): string => String((error as Error).stack ?? error)
