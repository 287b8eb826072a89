/**
 * What the image holds of us: `node deploy/image/bundle.ts DIRECTORY`.
 *
 * Each program becomes an executable file of JavaScript, with what several of them need in chunks beside it, and of
 * packages only what can be reached from there. `bin` has the programs by name; `sbom.cdx.json` says what packages these
 * are, and `LICENSES` what their authors ask to be passed on.
 *
 * @module
 */
import { mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { rolldown } from 'rolldown'
import { licencesOf, packagesOf } from './packages.ts'
import { type Program, PROGRAMS, WORKERS } from './programs.ts'
import { billOfMaterials } from './sbom.ts'

const REPOSITORY = resolve(import.meta.dirname, '..', '..')

const [directory] = process.argv.slice(2)
if (directory === undefined) throw new Error('usage: node deploy/image/bundle.ts DIRECTORY')

const sources = Object.fromEntries(Object.entries(PROGRAMS).map(([name, { source }]) => [name, source]))
const bundle = await rolldown({ cwd: REPOSITORY, input: { ...sources, ...WORKERS }, platform: 'node' })
// A third of the packages' bytes is comments; their licences are kept apart. The code stays as readable as it was.
const { output } = await bundle.generate({ format: 'esm', entryFileNames: '[name].js', comments: false })

await mkdir(join(directory, 'bin'), { recursive: true })
// Of a folder that was filled before, no code stays.
for (const name of await readdir(directory)) if (name.endsWith('.js')) await rm(join(directory, name))
const modules: string[] = []
for (const chunk of output) {
  if (chunk.type !== 'chunk') throw new Error(`${chunk.fileName} is not JavaScript`)
  modules.push(...chunk.moduleIds)
  const program = chunk.isEntry ? PROGRAMS[chunk.name] : undefined
  const plain = inAscii(chunk.code)
  const code = program ? `${firstLine(program)}\n${plain.replace(/^#!.*\n/, '')}` : plain
  await writeFile(join(directory, chunk.fileName), code, { mode: program ? 0o755 : 0o644 })
  if (program) {
    const name = join(directory, 'bin', chunk.name)
    // A folder that was filled before is filled again.
    await rm(name, { force: true })
    await symlink(join('..', chunk.fileName), name)
  }
}
const packages = packagesOf(modules)
await writeFile(join(directory, 'package.json'), '{ "type": "module" }\n')
await writeFile(join(directory, 'LICENSES'), await licencesOf(packages))
await writeFile(join(directory, 'sbom.cdx.json'), await billOfMaterials(REPOSITORY, packages))

/**
 * V8 keeps a program's text for as long as it runs, and in two octets a character as soon as one of them needs two: which
 * a handful do, in strings and in the classes of regular expressions, where an escape means the same.
 */
function inAscii(code: string): string {
  // A backslash before such a character, and a template that is read raw, would mean something else then.
  if (/\\[^\0-\x7f]|\braw`[^`]*[^\0-\x7f]/.test(code))
    throw new Error('code that cannot be written in ASCII by escapes')
  return code.replaceAll(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** The kernel hands `env` all that follows as one word; -S takes it apart. */
function firstLine({ nodeOptions, environment = {} }: Program): string {
  const settings = Object.entries(environment).map(([name, value]) => `${name}=${value}`)
  return ['#!/usr/bin/env', '-S', ...settings, 'node', ...nodeOptions].join(' ')
}
