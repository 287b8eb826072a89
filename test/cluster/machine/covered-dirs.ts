import { existsSync } from 'node:fs'
import { mkdir, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { COVERED_DIRS, STATE_DIR } from '../layout.ts'

/** The folders that must be made before {@link COVERED_DIRS} can be mounted over, parents first. */
export function missingDirs(): string[] {
  const missing: string[] = []
  for (const dir of COVERED_DIRS) {
    const chain: string[] = []
    for (let path: string = dir; !existsSync(path); path = dirname(path)) chain.unshift(path)
    for (const path of chain) if (!missing.includes(path)) missing.push(path)
  }
  return missing
}

/** Makes both sides of each mount of a node and returns the shell commands that mount them, to be run in its namespace. */
export async function coverCommands(node: string): Promise<string[]> {
  const commands: string[] = []
  for (const dir of COVERED_DIRS) {
    const own = join(STATE_DIR, node, 'covered', dir.slice(1).replaceAll('/', '-'))
    await mkdir(own, { recursive: true })
    await mkdir(dir, { recursive: true })
    // Out of the peer group of what it is bound from, else each mount below would show up there too.
    commands.push(`mount --bind ${own} ${dir}`, `mount --make-private ${dir}`, `mount --make-shared ${dir}`)
  }
  return commands
}

/** Removes what {@link missingDirs} listed. A folder that somebody else uses meanwhile is not empty, and stays. */
export async function removeDirs(dirs: readonly string[]): Promise<void> {
  for (const dir of dirs.toReversed()) {
    await rmdir(dir).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'ENOENT') throw error
    })
  }
}
