import { IdentityError } from '../../core/runtime/errors.ts'
import { readSmallFile } from '../../core/runtime/small-file.ts'
import type { FetchJwks } from './signing-keys.ts'

const MAX_BYTES = 1024 * 1024

/** The JWK Set in `file`, read again at each fetch: where there is no API server to ask. */
export function jwksFile(file: string): FetchJwks {
  return async () => {
    try {
      return JSON.parse(await readSmallFile(file, MAX_BYTES)) as unknown
    } catch (error) {
      const why = error instanceof SyntaxError ? 'is not JSON' : 'cannot be read'
      throw new IdentityError('config_invalid', `${file}: ${why}`, { cause: error })
    }
  }
}
