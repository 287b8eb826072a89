import { readFile } from 'node:fs/promises'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { FetchJwks } from './signing-keys.ts'

/** The JWK Set in `file`, read again at each fetch: where there is no API server to ask. */
export function jwksFile(file: string): FetchJwks {
  return async (signal) => {
    try {
      return JSON.parse(await readFile(file, { encoding: 'utf8', signal })) as unknown
    } catch (error) {
      const why = error instanceof SyntaxError ? 'is not JSON' : 'cannot be read'
      throw new IdentityError('config_invalid', `${file}: ${why}`, { cause: error })
    }
  }
}
