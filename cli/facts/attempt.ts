import type { Read } from '../checks/check.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { exitOf } from '../exit/exit-code.ts'

/** What was read, or why it could not be. A bug stays a bug. */
export async function attempt<T>(read: () => Promise<T>): Promise<Read<T>> {
  try {
    return { value: await read() }
  } catch (error) {
    if (!(error instanceof IdentityError)) throw error
    const exit = exitOf(error)
    const kind = exit === 'refused' ? 'forbidden' : exit === 'unreachable' ? 'unreachable' : 'other'
    return { failure: { kind, message: error.message } }
  }
}
