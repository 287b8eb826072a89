import { existsSync } from 'node:fs'
import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join, resolve } from 'node:path'
import { elapsed, type Log } from '../base/log.ts'
import { run } from '../base/run.ts'
import { buildah, commitImage, hasImage } from './buildah.ts'

/*
 * What stands in for the bases that the Dockerfile names, since no registry of images can be reached: the same release
 * of Debian out of its packages, and on it a Node.js with npm and binutils.
 */

const RELEASE = 'trixie'
const REPOSITORY = resolve(import.meta.dirname, '..', '..', '..')

export const BASE_IMAGE = `localhost/debian:${RELEASE}`
export const BUILD_BASE_IMAGE = `localhost/node:${RELEASE}`

/** Makes both, or finds them made. */
export async function createBaseImages(log: Log, signal?: AbortSignal): Promise<void> {
  if (!(await hasImage(BASE_IMAGE))) await timed(log, BASE_IMAGE, () => createBase(signal))
  if (!(await hasImage(BUILD_BASE_IMAGE))) await timed(log, BUILD_BASE_IMAGE, () => createBuildBase(signal))
}

async function timed(log: Log, reference: string, create: () => Promise<void>): Promise<void> {
  const start = performance.now()
  log(`making ${reference}, once: half a minute …`)
  await create()
  log(`${reference}: ${elapsed(start)}`)
}

async function createBase(signal?: AbortSignal): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'debootstrap-'))
  try {
    const rootfs = join(folder, 'rootfs')
    const options = { timeout: 10 * 60_000, ...(signal && { signal }) }
    await run('debootstrap', ['--variant=minbase', RELEASE, rootfs], options)
    await rm(join(rootfs, 'var/cache/apt/archives'), { recursive: true })
    await commitImage(BASE_IMAGE, 'scratch', async (container) => {
      await buildah(['add', '--quiet', container, rootfs, '/'], signal)
    })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function createBuildBase(signal?: AbortSignal): Promise<void> {
  const npm = await npmFolder()
  await commitImage(BUILD_BASE_IMAGE, BASE_IMAGE, async (container) => {
    const install = 'apt-get update -q && apt-get install -y -q --no-install-recommends binutils libatomic1'
    await buildah(['run', container, 'sh', '-c', `export DEBIAN_FRONTEND=noninteractive; ${install}`], signal)
    const node = join(REPOSITORY, 'node_modules', 'node', 'bin', 'node')
    await buildah(['copy', '--quiet', container, node, '/usr/local/bin/node'], signal)
    await buildah(['copy', '--quiet', container, npm, '/usr/local/lib/node_modules/npm'], signal)
    await buildah(
      ['run', container, 'ln', '-s', '../lib/node_modules/npm/bin/npm-cli.js', '/usr/local/bin/npm'],
      signal,
    )
  })
}

/** The folder of the machine's npm, which has all that it needs. */
async function npmFolder(): Promise<string> {
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  const npm = folders.map((folder) => join(folder, 'npm')).find((path) => existsSync(path))
  if (npm === undefined) throw new Error('there is no npm on the PATH')
  return dirname(dirname(await realpath(npm)))
}
