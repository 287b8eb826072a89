import { constants } from 'node:fs'
import { type FileHandle, open, readlink } from 'node:fs/promises'

/**
 * The text of a file of which no more than `maxBytes` and one are read, so that whoever asks sees that it is too large.
 * An edge file. A pipe, a device or a folder is refused and never waited for: each wait would take one of the process's
 * few threads for files, and who may replace the file could have them all.
 *
 * @param links `none` if `path` is absolute and holds no link: what has become one since is refused.
 * @throws what the system says, with its `code`; others are `not a file` and `moved by a link`.
 */
export async function readSmallFile(
  path: string,
  maxBytes: number,
  links: 'followed' | 'none' = 'followed',
): Promise<string> {
  const noFollow = links === 'none' ? constants.O_NOFOLLOW : 0
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | noFollow)
  try {
    if (links === 'none') await requireAt(path, file)
    if (!(await file.stat()).isFile()) throw Object.assign(new Error(`${path} is not a file`), { code: 'not a file' })
    const buffer = Buffer.alloc(maxBytes + 1)
    let length = 0
    while (length < buffer.length) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length, length)
      if (bytesRead === 0) break
      length += bytesRead
    }
    return buffer.toString('utf8', 0, length)
  } finally {
    await file.close()
  }
}

/** The kernel follows links of folders whatever is asked of it, but knows where it has come out. */
async function requireAt(path: string, file: FileHandle): Promise<void> {
  const opened = await readlink(`/proc/self/fd/${file.fd}`)
  // One that is replaced while it is read is still the one that was there.
  if (opened === path || opened === `${path} (deleted)`) return
  throw Object.assign(new Error(`${path} leads through a link`), { code: 'moved by a link' })
}
