import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { STATE_DIR } from '../cluster/layout.ts'
import { clusterProcesses } from '../cluster/machine/cgroups.ts'
import { identify, isAlive, type ProcessId, terminate } from '../cluster/machine/process-table.ts'

const PREFIX = 'countersign-'
const OWNER = 'owner.json'
const STOP_MS = 20_000

/** Makes the folder of an installation by processes, which says whose it is: broker and agents end with this process. */
export async function makeInstallationFolder(): Promise<string> {
  // With the cluster's own, so that keys and tokens go with it at the latest.
  const folder = await mkdtemp(join(STATE_DIR, PREFIX))
  await writeFile(join(folder, OWNER), JSON.stringify(await identify(process.pid)))
  return folder
}

/** The processes that have an installation on the cluster that is up. */
export async function installingProcesses(): Promise<ProcessId[]> {
  const owners = await Promise.all((await folders()).map(ownerOf))
  return owners.filter((owner) => owner !== undefined)
}

/** Ends brokers and agents that outlived who had started them, and removes their folders. @returns how many there were. */
export async function removeAbandoned(): Promise<number> {
  let count = 0
  for (const folder of await folders()) {
    if (await ownerOf(folder)) continue
    count += 1
    await Promise.all((await processesOf(folder)).map((process) => terminate(process, STOP_MS)))
    await rm(folder, { recursive: true, force: true })
  }
  return count
}

async function folders(): Promise<string[]> {
  const names = await readdir(STATE_DIR).catch(() => [])
  return names.filter((name) => name.startsWith(PREFIX)).map((name) => join(STATE_DIR, name))
}

/** Unless it has ended. */
async function ownerOf(folder: string): Promise<ProcessId | undefined> {
  const text = await readFile(join(folder, OWNER), 'utf8').catch(() => 'null')
  const owner = JSON.parse(text) as ProcessId | null
  return owner && (await isAlive(owner)) ? owner : undefined
}

/** Broker and agents are told their configuration, which is in the folder. */
async function processesOf(folder: string): Promise<ProcessId[]> {
  const found = await Promise.all(
    (await clusterProcesses()).map(async (pid) => {
      const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
      return command.includes(`${folder}/`) ? identify(pid) : undefined
    }),
  )
  return found.filter((process) => process !== undefined)
}
