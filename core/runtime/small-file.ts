import { constants } from 'node:fs'
import { open } from 'node:fs/promises'

/**
 * The text of a file of which no more than `maxBytes` and one are read, so that whoever asks sees that it is too large.
 * An edge file. A pipe, a device or a folder is refused and never waited for: each wait would take one of the process's
 * few threads for files, and who may replace the file could have them all.
 *
 * @throws what the system says, with its `code`; one of them is `not a file`.
 */
export async function readSmallFile(path: string, maxBytes: number): Promise<string> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
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
