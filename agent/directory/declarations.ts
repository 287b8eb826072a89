import { readdir } from 'node:fs/promises'
import { isAbsolute, join, resolve } from 'node:path'
import { checkDocument, describeProblems } from '../../core/runtime/config.ts'
import { readSmallFile } from '../../core/runtime/small-file.ts'
import { type WorkloadDeclaration, workloadDeclarationSchema } from './workload-declaration.ts'

/** What a folder declares, and what in it could not be read. */
export interface Declarations {
  readonly workloads: ReadonlyMap<string, WorkloadDeclaration>
  /** While there is any, nobody can say that a workload is declared no more. */
  readonly problems: readonly string[]
}

const SUFFIX = /\.(?:ya?ml|json)$/
const MAX_FILES = 1000
const MAX_BYTES = 1024 * 1024

/** Reads every declaration of a folder; relative token files are looked for in it. Never throws. */
export async function readDeclarations(directory: string): Promise<Declarations> {
  const workloads = new Map<string, WorkloadDeclaration>()
  const problems: string[] = []
  const names = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    problems.push(`${directory}: cannot be read: ${error.code}`)
    return []
  })
  const files = names.filter((name) => SUFFIX.test(name) && !name.startsWith('.')).sort()
  if (files.length > MAX_FILES) problems.push(`${directory}: more than ${MAX_FILES} files; the rest is not read`)
  for (const file of files.slice(0, MAX_FILES)) {
    const problem = await readOne(directory, file, workloads)
    if (problem !== undefined) problems.push(problem)
  }
  return { workloads, problems }
}

async function readOne(
  directory: string,
  file: string,
  workloads: Map<string, WorkloadDeclaration>,
): Promise<string | undefined> {
  const text = await readSmallFile(join(directory, file), MAX_BYTES).catch(() => undefined)
  if (text === undefined) return `${file}: cannot be read`
  const checked = checkDocument(text, workloadDeclarationSchema)
  if ('problems' in checked) return describeProblems(file, checked.problems)
  const { name, tokenFile, ...more } = checked.value
  if (workloads.has(name)) return `${file}: another file declares ${name} already`
  workloads.set(name, { name, tokenFile: isAbsolute(tokenFile) ? tokenFile : resolve(directory, tokenFile), ...more })
  return undefined
}
