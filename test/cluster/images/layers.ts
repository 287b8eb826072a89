import { gunzipSync } from 'node:zlib'
import { run } from '../base/run.ts'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const MAX_BYTES = 1024 * 1024 * 1024

/** One layer of an image, in bytes: as a registry sends it, and as a node stores it. */
export interface Layer {
  readonly compressed: number
  readonly uncompressed: number
}

/** The layers of the only image in an OCI archive, the base's first. */
export async function layersOf(archive: string): Promise<Layer[]> {
  const index = JSON.parse(await textOf(archive, 'index.json')) as { manifests: { digest: string }[] }
  const manifest = JSON.parse(await textOf(archive, blobPath(index.manifests[0]?.digest ?? ''))) as {
    layers: { digest: string; size: number }[]
  }
  const layers: Layer[] = []
  for (const { digest, size } of manifest.layers) {
    const options = { encoding: 'buffer', maxBuffer: MAX_BYTES } as const
    const { stdout } = await promisify(execFile)('tar', ['-xOf', archive, blobPath(digest)], options)
    layers.push({ compressed: size, uncompressed: gunzipSync(stdout).length })
  }
  return layers
}

function textOf(archive: string, path: string): Promise<string> {
  return run('tar', ['-xOf', archive, path])
}

function blobPath(digest: string): string {
  return `blobs/${digest.replace(':', '/')}`
}
