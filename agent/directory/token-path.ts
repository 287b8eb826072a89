import { lstat, readlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { IdentityError } from '../../core/runtime/errors.ts'

/** As many as Linux follows. */
const MAX_LINKS = 40
const WRITABLE_BY_OTHERS = 0o022
const STICKY = 0o1000

/**
 * Where a token file is, with every link on the way to it followed by hand. Links of root and of the agent's own user are
 * followed, such as the `..data` of kubelet's layout; anybody else's could lead to a file that the agent may read and he
 * may not, above all the token of another workload. What counts is who may put a link there: one that lies where somebody
 * else could replace it may be another one when it is read than when it was looked at.
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
    if (!isTrusted(stats.uid) || !(await isOutOfReach(found))) {
      throw new IdentityError(
        'config_invalid',
        `${path} is not read: ${next} is a link that others than root and the user that the agent runs as may have made or may replace; give the file itself`,
      )
    }
    const target = await readlink(next)
    left.unshift(...target.split('/'))
    if (target.startsWith('/')) found = '/'
  }
  return found
}

/** Whether nobody else can change what bears a name in `folder`, or put another folder in the place of it. */
async function isOutOfReach(folder: string): Promise<boolean> {
  const { uid, mode } = await lstat(folder)
  // In a sticky folder only its owner, and that of the link, may rename a link (rename(2)).
  const isOurs = isTrusted(uid) && ((mode & WRITABLE_BY_OTHERS) === 0 || (mode & STICKY) !== 0)
  return isOurs && (folder === '/' || (await isOutOfReach(dirname(folder))))
}

function isTrusted(uid: number): boolean {
  return uid === 0 || uid === process.geteuid?.()
}
