import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { elapsed, type Log } from '../base/log.ts'
import { run } from '../base/run.ts'
import { ensurePackages, FOR_IMAGES } from '../machine/packages.ts'
import { cacheDir } from '../tools/build.ts'
import { BASE_IMAGE, BUILD_BASE_IMAGE, createBaseImages } from './base-images.ts'
import { buildah } from './buildah.ts'

/** The image of broker, agent and CLI, as the tests name it. */
export const COUNTERSIGN_IMAGE = 'localhost/countersign:test'

const REPOSITORY = resolve(import.meta.dirname, '..', '..', '..')
/** What the Dockerfile reads; .dockerignore keeps all else from it. */
const SOURCES = ['Dockerfile', '.dockerignore', 'package.json', 'package-lock.json', 'deploy/image']
const PROGRAMS = ['core', 'broker', 'agent', 'cli', 'proto']

/** Folders that are in every Debian, empty: what is mounted there during a build leaves no trace in the image. */
const CERTIFICATES = '/media'
const NPM_CACHE = '/mnt'
const CERTIFICATE_FILE = 'ca-certificates.crt'

/**
 * Builds the image from the repository's Dockerfile, on local bases, and returns the path of its OCI archive. What was
 * built of the same files before is found in the cache.
 */
export async function buildCountersignImage(log: Log, signal?: AbortSignal): Promise<string> {
  await ensurePackages(log, FOR_IMAGES)
  const folder = join(cacheDir(), 'image')
  const archive = join(folder, `${await fingerprint()}.tar`)
  if (existsSync(archive)) return archive
  await createBaseImages(log, signal)
  const start = performance.now()
  log('building the image from the Dockerfile …')
  await mkdir(folder, { recursive: true })
  await build(signal)
  const partial = `${archive}.${process.pid}`
  await buildah(['push', '--quiet', COUNTERSIGN_IMAGE, `oci-archive:${partial}:${COUNTERSIGN_IMAGE}`], signal)
  await buildah(['rmi', '--force', COUNTERSIGN_IMAGE])
  for (const name of await readdir(folder)) if (join(folder, name) !== partial) await rm(join(folder, name))
  await rename(partial, archive)
  log(`the image: ${elapsed(start)}`)
  return archive
}

async function build(signal?: AbortSignal): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'image-'))
  try {
    const npmrc = join(folder, 'npmrc')
    await writeFile(npmrc, await npmSettings(), { mode: 0o600 })
    const cache = join(homedir(), '.npm')
    await mkdir(cache, { recursive: true })
    const mounts = ['--volume', `${cache}:${NPM_CACHE}`, '--volume', `/etc/ssl/certs:${CERTIFICATES}:ro`]
    const bases = ['--build-arg', `BUILD_BASE=${BUILD_BASE_IMAGE}`, '--build-arg', `BASE=${BASE_IMAGE}`]
    const secret = ['--secret', `id=npmrc,src=${npmrc}`]
    await buildah(
      [
        'build',
        '--pull-never',
        '--no-cache',
        '--force-rm',
        ...secret,
        ...mounts,
        ...bases,
        '--tag',
        COUNTERSIGN_IMAGE,
        REPOSITORY,
      ],
      signal,
    )
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** npm's settings of this machine, with the certificates and the cache at the places where the build has them. */
async function npmSettings(): Promise<string> {
  const own = await readFile(join(homedir(), '.npmrc'), 'utf8').catch(() => '')
  const certificates = existsSync(join('/etc/ssl/certs', CERTIFICATE_FILE))
    ? `cafile=${join(CERTIFICATES, CERTIFICATE_FILE)}\n`
    : ''
  return `${own}\n${certificates}cache=${NPM_CACHE}\n`
}

/** Of every file that the Dockerfile reads. */
async function fingerprint(): Promise<string> {
  const args = ['ls-files', '--cached', '--others', '--exclude-standard', '-z', '--', ...SOURCES, ...PROGRAMS]
  const files = (await run('git', args, { cwd: REPOSITORY })).split('\0')
  const read = files.filter((file) => file !== '' && !file.endsWith('.test.ts') && existsSync(join(REPOSITORY, file)))
  const hash = createHash('sha256').update(process.arch)
  for (const file of read.sort()) hash.update(`${file}\0`).update(await readFile(join(REPOSITORY, file)))
  return hash.digest('hex').slice(0, 16)
}
