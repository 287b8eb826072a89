import { mkdtempSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const TMPFS_MAGIC = 0x01021994

function isTmpfs(directory: string): boolean {
  try {
    return statfsSync(directory).type === TMPFS_MAGIC
  } catch {
    return false
  }
}

/** A new folder on a real disk: on a tmpfs durability would cost nothing. */
export function folderOnDisk(): string {
  const directory = [tmpdir(), '/var/tmp', process.cwd()].find((candidate) => !isTmpfs(candidate))
  if (directory === undefined) throw new Error('there is no folder on a disk to put the ledger in; set TMPDIR')
  return mkdtempSync(join(directory, 'countersign-bench-'))
}

/** A new folder in memory, for keys. */
export function folderInMemory(): string {
  if (!isTmpfs('/dev/shm')) throw new Error('/dev/shm is no tmpfs; private keys have to lie somewhere')
  return mkdtempSync('/dev/shm/countersign-bench-')
}
