import { createHash } from 'node:crypto'
import { readdir, readFile, readlink, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { tar, type TarEntry } from './tar.ts'

/** An image out of files of this machine. */
export interface ImageSpec {
  /** With an explicit tag other than `latest`, so that kubelet does not try to pull it. */
  reference: string
  entrypoint: readonly string[]
  /** File or folder on this machine, by absolute path in the image. Modes are kept, owners are not. */
  files: Readonly<Record<string, string>>
  /** Target by absolute path in the image. */
  links?: Readonly<Record<string, string>>
  env?: Readonly<Record<string, string>>
  /** Numeric `uid` or `uid:gid`; default root. */
  user?: string
}

const MEDIA = 'application/vnd.oci.image'

/** The OCI archive (one layer) that `ctr images import` reads. */
export async function ociArchive(spec: ImageSpec): Promise<Buffer> {
  const layer = blob(`${MEDIA}.layer.v1.tar`, tar(await layerEntries(spec)))
  const config = blob(`${MEDIA}.config.v1+json`, json(imageConfig(spec, layer.descriptor.digest)))
  const manifest = blob(
    `${MEDIA}.manifest.v1+json`,
    json({
      schemaVersion: 2,
      mediaType: `${MEDIA}.manifest.v1+json`,
      config: config.descriptor,
      layers: [layer.descriptor],
    }),
  )
  const annotations = { 'io.containerd.image.name': spec.reference }
  const index = json({ schemaVersion: 2, manifests: [{ ...manifest.descriptor, annotations, platform: PLATFORM }] })
  return tar([
    { name: 'oci-layout', mode: 0o644, content: json({ imageLayoutVersion: '1.0.0' }) },
    { name: 'index.json', mode: 0o644, content: index },
    ...[manifest, config, layer].map((blob) => ({ name: blob.path, mode: 0o644, content: blob.content })),
  ])
}

const PLATFORM = { architecture: process.arch === 'x64' ? 'amd64' : process.arch, os: 'linux' }

function imageConfig({ entrypoint, env, user }: ImageSpec, layerDigest: string): object {
  const variables = { PATH: '/usr/local/bin:/usr/bin:/bin', ...env }
  return {
    ...PLATFORM,
    config: {
      Entrypoint: entrypoint,
      Env: Object.entries(variables).map(([name, value]) => `${name}=${value}`),
      ...(user === undefined ? {} : { User: user }),
    },
    rootfs: { type: 'layers', diff_ids: [layerDigest] },
    history: [{ created_by: 'local files' }],
  }
}

async function layerEntries({ files, links = {} }: ImageSpec): Promise<TarEntry[]> {
  const copied = await Promise.all(Object.entries(files).map(([path, source]) => entriesOf(path.slice(1), source)))
  const linked = Object.entries(links).map(([path, linkTo]) => ({ name: path.slice(1), mode: 0o777, linkTo }))
  const entries = [...copied.flat(), ...linked]
  const folders = new Set(entries.flatMap(({ name }) => parents(name)))
  return [...[...folders].sort().map((name) => ({ name, mode: 0o755 })), { name: 'tmp/', mode: 0o1777 }, ...entries]
}

/** A file, or all files below a folder; links below it stay links. */
async function entriesOf(name: string, source: string): Promise<TarEntry[]> {
  const stats = await stat(source)
  if (stats.isFile()) return [{ name, mode: stats.mode & 0o777, content: await readFile(source) }]
  const found: TarEntry[] = []
  for (const entry of await readdir(source, { withFileTypes: true })) {
    const [inside, outside] = [`${name}/${entry.name}`, join(source, entry.name)]
    if (entry.isSymbolicLink()) found.push({ name: inside, mode: 0o777, linkTo: await readlink(outside) })
    else if (entry.isFile() || entry.isDirectory()) found.push(...(await entriesOf(inside, outside)))
  }
  return found
}

function parents(name: string): string[] {
  const steps = name.split('/').slice(0, -1)
  return steps.map((_, index) => `${steps.slice(0, index + 1).join('/')}/`)
}

function blob(mediaType: string, content: Buffer) {
  const hash = createHash('sha256').update(content).digest('hex')
  return {
    content,
    path: `blobs/sha256/${hash}`,
    descriptor: { mediaType, digest: `sha256:${hash}`, size: content.length },
  }
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}
