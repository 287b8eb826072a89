import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import type { ImageSpec } from '../cluster/images/oci-archive.ts'
import { sharedLibraries } from '../cluster/images/shared-libraries.ts'

export const WORKLOAD_IMAGE = 'localhost/demo-workload:test'

const ROOT = join(import.meta.dirname, '..', '..')
/** What the workload's program imports of ours. */
const FOLDERS = ['core', 'proto', 'test/demo/workload']
/** What it imports of others'. */
const PACKAGES = ['@grpc/grpc-js', '@bufbuild/protobuf', 'node-forge']

/** An image with this Node and the demonstration's workload, out of the files that are installed here. */
export async function workloadImage(): Promise<ImageSpec> {
  const node = realpathSync(process.execPath)
  const files: Record<string, string> = { '/usr/local/bin/node': node, ...(await sharedLibraries(node)) }
  for (const folder of FOLDERS) files[`/app/${folder}`] = join(ROOT, folder)
  for (const name of withDependencies(PACKAGES)) files[`/app/node_modules/${name}`] = join(ROOT, 'node_modules', name)
  files['/app/package.json'] = join(ROOT, 'package.json')
  return {
    reference: WORKLOAD_IMAGE,
    entrypoint: ['/usr/local/bin/node', '/app/test/demo/workload/main.ts'],
    files,
  }
}

function withDependencies(names: readonly string[], known = new Set<string>()): Set<string> {
  for (const name of names) {
    const manifest = join(ROOT, 'node_modules', name, 'package.json')
    if (known.has(name) || !existsSync(manifest)) continue
    known.add(name)
    const { dependencies = {} } = JSON.parse(readFileSync(manifest, 'utf8')) as {
      dependencies?: Record<string, string>
    }
    withDependencies(Object.keys(dependencies), known)
  }
  return known
}
