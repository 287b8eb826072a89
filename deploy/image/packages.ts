import { readFileSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** A package of npm of which something is in the image. */
export interface BundledPackage {
  readonly name: string
  readonly version: string
  readonly directory: string
}

/** The packages that these modules are of, each once, by name. */
export function packagesOf(modules: readonly string[]): BundledPackage[] {
  const directories = new Set(modules.map(directoryOf).filter((directory) => directory !== undefined))
  const packages = [...directories].map((directory) => {
    const { name, version } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as BundledPackage
    return { name, version, directory }
  })
  return packages.sort((a, b) => a.name.localeCompare(b.name) || a.version.localeCompare(b.version))
}

/** What follows the last `node_modules/` of a path is a package's name, with its scope if it has one. */
function directoryOf(module: string): string | undefined {
  return /^.*[\\/]node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+/.exec(module)?.[0]
}

/** The licences of the packages, one after the other. */
export async function licencesOf(packages: readonly BundledPackage[]): Promise<string> {
  const sections = packages.map(async ({ name, version, directory }) => {
    const files = (await readdir(directory)).filter((file) => /^(licen[cs]e|notice|copying)/i.test(file)).sort()
    const texts = await Promise.all(files.map((file) => readFile(join(directory, file), 'utf8')))
    return [`==== ${name} ${version}`, ...texts.map((text) => text.trim())].join('\n\n')
  })
  return `${(await Promise.all(sections)).join('\n\n')}\n`
}
