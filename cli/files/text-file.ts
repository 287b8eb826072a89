import { readFile } from 'node:fs/promises'
import { IdentityError } from '../../core/runtime/errors.ts'

/**
 * The text of a file that the command line or the environment names.
 *
 * @throws {@link IdentityError} `config_invalid`, with the path and nothing of the contents.
 */
export async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw unreadable(file, error)
  }
}

/** Reads what stands in a file; what is wrong with it is told with the file's name, which whoever reads it does not know. */
export function inFile<T>(file: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (error instanceof IdentityError)
      throw new IdentityError(error.code, `${file}: ${error.message}`, { cause: error })
    throw error
  }
}

export function unreadable(path: string, error: unknown): IdentityError {
  const { code = 'error' } = error as NodeJS.ErrnoException
  return new IdentityError('config_invalid', `${path} cannot be read: ${code === 'EISDIR' ? 'it is a folder' : code}`)
}
