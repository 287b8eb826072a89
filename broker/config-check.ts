import { z } from 'zod'
import { readConfigFile } from '../core/runtime/config.ts'
import { readBrokerConfig, templateRulesOf } from './config.ts'
import { identityTemplateSchema } from './registration/identity-template.ts'
import { readTemplateFiles, templatesInvalid } from './registration/template-files.ts'

const KIND = 'IdentityTemplate'

/**
 * Checks a file before a broker is given it: a configuration with the templates that it names, or one template.
 *
 * @returns what to tell whoever asked.
 * @throws `IdentityError` `config_invalid` or `object_invalid` with one line per problem.
 */
export async function checkFile(file: string): Promise<string> {
  if (isTemplate(file)) {
    readConfigFile(file, identityTemplateSchema)
    return `${file}: ok (${KIND})`
  }
  const config = readBrokerConfig(file)
  // Custom resources are checked by the API server, and what it cannot say stands in their status.
  const directory = config.templates?.directory
  if (directory !== undefined) {
    const { problems } = await readTemplateFiles(directory, templateRulesOf(config))
    if (problems.length > 0) throw templatesInvalid(directory, problems)
  }
  return `${file}: ok`
}

/** A file that cannot be read is none: reading it as a configuration says why. */
function isTemplate(file: string): boolean {
  try {
    readConfigFile(file, z.looseObject({ kind: z.literal(KIND) }))
    return true
  } catch {
    return false
  }
}
