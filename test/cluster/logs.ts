import { existsSync } from 'node:fs'
import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { LOG_DIR } from './layout.ts'
import { cacheDir } from './tools/build.ts'

/** Copies the components' logs to where they outlive the cluster; returns the folder, which holds only the newest. */
export async function keepLogs(): Promise<string | undefined> {
  if (!existsSync(LOG_DIR)) return undefined
  const folder = join(cacheDir(), 'last-logs')
  await rm(folder, { recursive: true, force: true })
  await cp(LOG_DIR, folder, { recursive: true })
  return folder
}
