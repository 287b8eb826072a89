import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { checkDocument, describeProblems, type Problem } from '../../core/runtime/config.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { readSmallFile } from '../../core/runtime/small-file.ts'
import { type IdentityTemplate, identityTemplateSchema } from './identity-template.ts'
import { problemsOf, type TemplateRules } from './template-rules.ts'

/** A file as it was read last: one that has not changed is not looked into again, be it good or broken. */
interface KnownFile {
  readonly text: string
  readonly problems: readonly Problem[]
  /** The newest good content. */
  readonly template: IdentityTemplate | undefined
}

/** What a directory holds. */
export interface ReadTemplates {
  readonly templates: readonly IdentityTemplate[]
  readonly problems: readonly Problem[]
  /** Each file that is still there. */
  readonly files: ReadonlyMap<string, KnownFile>
}

const MAX_FILES = 10_000
/** Room for as many ServiceAccounts as a template may name. Reading what is larger holds everything else up. */
const MAX_KIB = 128
const MAX_BYTES = MAX_KIB * 1024

/**
 * Reads all templates of a directory. Where a file is broken, or the whole directory cannot be read, what was good before
 * stays. Hidden files are passed over, as a mounted ConfigMap needs.
 */
export async function readTemplateFiles(
  directory: string,
  rules: TemplateRules,
  before: ReadonlyMap<string, KnownFile> = new Map(),
): Promise<ReadTemplates> {
  const names = await listFiles(directory)
  if ('problem' in names) return { ...inForce(before, [names.problem]), files: before }
  const problems: Problem[] = []
  const files = new Map<string, KnownFile>()
  for (const name of names.list) {
    const read = await readTemplateFile(directory, { name, before: before.get(name), rules })
    problems.push(...('problem' in read ? [read.problem] : read.file.problems))
    if (read.file) files.set(name, read.file)
  }
  return { ...inForce(files, problems), files }
}

export const templatesInvalid = (directory: string, problems: readonly Problem[]) =>
  new IdentityError('object_invalid', describeProblems(directory, problems))

async function listFiles(
  directory: string,
): Promise<{ readonly list: readonly string[] } | { readonly problem: Problem }> {
  try {
    const list = (await readdir(directory)).filter((name) => /^[^.].*\.(?:ya?ml|json)$/.test(name)).toSorted()
    if (list.length <= MAX_FILES) return { list }
    return { problem: { path: 'templates.directory', message: `holds more than ${MAX_FILES} files` } }
  } catch (error) {
    return {
      problem: {
        path: 'templates.directory',
        message: `cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'error'}`,
      },
    }
  }
}

async function readTemplateFile(
  directory: string,
  { name, before, rules }: { name: string; before: KnownFile | undefined; rules: TemplateRules },
): Promise<{ readonly file: KnownFile } | { readonly file: KnownFile | undefined; readonly problem: Problem }> {
  let text: string
  try {
    text = await readSmallFile(join(directory, name), MAX_BYTES)
  } catch (error) {
    const { code = 'error' } = error as NodeJS.ErrnoException
    // Even if it was removed since it was listed: the whole directory may just be moving. The next look will tell.
    return { file: before, problem: { path: name, message: `cannot be read: ${code}` } }
  }
  if (before?.text === text) return { file: before }
  const checked = checkTemplate(text, rules)
  if ('template' in checked) return { file: { text, problems: [], template: checked.template } }
  const problems = checked.problems.map(({ path, message }) => ({
    path: path === '' ? name : `${name}: ${path}`,
    message,
  }))
  return { file: { text, problems, template: before?.template } }
}

function checkTemplate(
  text: string,
  rules: TemplateRules,
): { readonly template: IdentityTemplate } | { readonly problems: readonly Problem[] } {
  if (Buffer.byteLength(text) > MAX_BYTES) {
    const message = `is larger than ${MAX_KIB} KiB, which is more than a template needs; select by labels instead`
    return { problems: [{ path: '', message }] }
  }
  const checked = checkDocument(text, identityTemplateSchema)
  if ('problems' in checked) return checked
  const problems = problemsOf(checked.value, rules)
  return problems.length > 0 ? { problems } : { template: checked.value }
}

/** Of two templates with one name neither is meant more than the other; the first file's stays, and the second is told of. */
function inForce(files: ReadonlyMap<string, KnownFile>, problems: readonly Problem[]): Omit<ReadTemplates, 'files'> {
  const byName = new Map<string, IdentityTemplate>()
  const taken: Problem[] = []
  for (const [file, { template }] of files) {
    if (!template) continue
    if (byName.has(template.name))
      taken.push({ path: `${file}: metadata.name`, message: `'${template.name}' is taken` })
    else byName.set(template.name, template)
  }
  return { templates: [...byName.values()], problems: [...problems, ...taken] }
}
