import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { checkDocument, describeProblems, type Problem } from '../../core/runtime/config.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { readSmallFile } from '../../core/runtime/small-file.ts'
import { type IdentityTemplate, identityTemplateSchema } from './identity-template.ts'
import { problemsOf, type TemplateRules } from './template-rules.ts'

/** A template and the text that it was read from. */
interface GoodFile {
  readonly text: string
  readonly template: IdentityTemplate
}

/** What a directory holds. */
export interface ReadTemplates {
  readonly templates: readonly IdentityTemplate[]
  readonly problems: readonly Problem[]
  /** The newest good content of each file that is still there. */
  readonly lastGood: ReadonlyMap<string, GoodFile>
}

const MAX_FILES = 10_000
const MAX_BYTES = 1024 * 1024

/**
 * Reads all templates of a directory. Where a file is broken, or the whole directory cannot be read, what was good before
 * stays. Hidden files are passed over, as a mounted ConfigMap needs.
 */
export async function readTemplateFiles(
  directory: string,
  rules: TemplateRules,
  lastGood: ReadonlyMap<string, GoodFile> = new Map(),
): Promise<ReadTemplates> {
  const problems: Problem[] = []
  const good = new Map<string, GoodFile>()
  const names = await listFiles(directory)
  if ('problem' in names) problems.push(names.problem)
  for (const name of 'problem' in names ? lastGood.keys() : names.list) {
    const before = lastGood.get(name)
    const file = 'problem' in names ? before : await readTemplateFile(directory, { name, before, problems, rules })
    if (file) good.set(name, file)
  }
  return { templates: withoutDuplicates(good, problems), problems, lastGood: good }
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
  {
    name,
    before,
    problems,
    rules,
  }: { name: string; before: GoodFile | undefined; problems: Problem[]; rules: TemplateRules },
): Promise<GoodFile | undefined> {
  let text: string
  try {
    text = await readSmallFile(join(directory, name), MAX_BYTES)
  } catch (error) {
    const { code = 'error' } = error as NodeJS.ErrnoException
    // Even if it was removed since it was listed: the whole directory may just be moving. The next look will tell.
    problems.push({ path: name, message: `cannot be read: ${code}` })
    return before
  }
  if (before?.text === text) return before
  if (text.length > MAX_BYTES) {
    problems.push({ path: name, message: `is larger than ${MAX_BYTES} bytes` })
    return before
  }
  const checked = checkDocument(text, identityTemplateSchema)
  const wrong = 'value' in checked ? problemsOf(checked.value, rules) : checked.problems
  if ('value' in checked && wrong.length === 0) return { text, template: checked.value }
  problems.push(...wrong.map(({ path, message }) => ({ path: path === '' ? name : `${name}: ${path}`, message })))
  return before
}

/** Of two templates with one name neither is meant more than the other; the first file's stays, and the second is told of. */
function withoutDuplicates(good: ReadonlyMap<string, GoodFile>, problems: Problem[]): readonly IdentityTemplate[] {
  const byName = new Map<string, IdentityTemplate>()
  for (const [file, { template }] of good) {
    if (byName.has(template.name))
      problems.push({ path: `${file}: metadata.name`, message: `'${template.name}' is taken` })
    else byName.set(template.name, template)
  }
  return [...byName.values()]
}
