import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { BundledPackage } from './packages.ts'

interface Component {
  readonly 'bom-ref': string
  readonly properties?: unknown
}

/** CycloneDX, as far as it is touched here. */
interface BillOfMaterials {
  serialNumber?: string
  readonly metadata: { timestamp?: string }
  readonly components: readonly Component[]
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn?: readonly string[] }[]
}

/** Node.js itself comes from this package, and is copied beside the bundle. */
const RUNTIME = 'node'
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024

/**
 * npm's bill of materials of the whole checkout, less what is not in the image. The packages of Debian are not in it:
 * scanners find them in the image's own list of them. Neither time nor serial number, so that the same sources give the
 * same bytes.
 */
export async function billOfMaterials(repository: string, packages: readonly BundledPackage[]): Promise<string> {
  const args = ['sbom', '--sbom-format=cyclonedx', '--sbom-type=application']
  const { stdout } = await promisify(execFile)('npm', args, { cwd: repository, maxBuffer: MAX_OUTPUT_BYTES })
  const { serialNumber: _, ...whole } = JSON.parse(stdout) as BillOfMaterials
  const { timestamp: __, ...metadata } = whole.metadata
  const bundled = new Set(packages.map(({ name, version }) => `${name}@${version}`))
  const isInImage = ({ 'bom-ref': ref }: Component) => bundled.has(ref) || ref.startsWith(`${RUNTIME}@`)
  const components = whole.components.filter(isInImage)
  const refs = new Set(components.map((component) => component['bom-ref']))
  const missing = [...bundled].filter((ref) => !refs.has(ref))
  if (missing.length > 0) throw new Error(`npm's bill of materials lacks ${missing.join(', ')}`)
  const dependencies = whole.dependencies
    .filter(({ ref }) => refs.has(ref))
    .map(({ ref, dependsOn = [] }) => ({ ref, dependsOn: dependsOn.filter((name) => refs.has(name)) }))
  return `${JSON.stringify({ ...whole, metadata, components, dependencies }, null, 2)}\n`
}
