import { lstat, readlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { IdentityError } from '../../core/runtime/errors.ts'

/** As many as Linux follows. */
const MAX_LINKS = 40

/**
 * Where a token file is, with every link on the way to it followed by hand. Links of root and of the agent's own user are
 * followed, such as the `..data` of kubelet's layout; anybody else's could lead to a file that the agent may read and he
 * may not, above all the token of another workload.
 *
 * @param path absolute.
 * @returns a path without links, to be opened as such: what is replaced by one meanwhile was not looked at.
 * @throws {@link IdentityError} `config_invalid` for the link of a stranger; what the system says of a path that leads nowhere.
 */
export async function tokenPath(path: string): Promise<string> {
  const left = path.split('/')
  let found = '/'
  for (let links = 0; left.length > 0;) {
    const name = left.shift() ?? ''
    if (name === '' || name === '.') continue
    if (name === '..') {
      found = dirname(found)
      continue
    }
    const next = join(found, name)
    const stats = await lstat(next)
    if (!stats.isSymbolicLink()) {
      found = next
      continue
    }
    if ((links += 1) > MAX_LINKS) throw Object.assign(new Error(`too many links in ${path}`), { code: 'ELOOP' })
    const target = await readlink(next)
    // Once more: where the link leads was to be read from the very one that was looked at.
    const again = await lstat(next)
    if (!isTrusted(stats.uid) || again.ino !== stats.ino || again.ctimeMs !== stats.ctimeMs) {
      throw new IdentityError(
        'config_invalid',
        `${path} is not read: ${next} is a link, and not of root or the user that the agent runs as; give the file itself`,
      )
    }
    left.unshift(...target.split('/'))
    if (target.startsWith('/')) found = '/'
  }
  return found
}

function isTrusted(uid: number): boolean {
  return uid === 0 || uid === process.geteuid?.()
}
