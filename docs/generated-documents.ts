import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { format, resolveConfig } from 'prettier'
import { adminApiDocument } from './admin-api-document.ts'
import { cliDocument } from './cli-document.ts'
import { chartValuesDocument } from './chart-values-document.ts'
import { chartValuesSchema } from './chart-values-schema.ts'
import { configurationDocument } from './configuration-document.ts'
import { customResourceDefinitions, knownDefinitions } from './custom-resources.ts'
import { errorsDocument } from './errors-document.ts'
import { metricsDocument } from './metrics-document.ts'
import { troubleshootingDocument } from './troubleshooting-document.ts'

/** Written by hand but for its part about the broker's configuration. */
const CHART_SCHEMA = '../deploy/chart/values.schema.json'

const OBJECTS = '../deploy/chart/files/crds'

/** What the command knows them by. */
const KNOWN_OBJECTS = '../cli/installation/crds.ts'

/** The text of each generated document by its file name, formatted as the project's formatter would. */
export async function generatedDocuments(): Promise<Record<string, string>> {
  const documents = {
    'admin-api.md': adminApiDocument(),
    'cli.md': cliDocument(),
    [CHART_SCHEMA]: chartValuesSchema(readFileSync(`docs/${CHART_SCHEMA}`, 'utf8')),
    'chart-values.md': chartValuesDocument(),
    'configuration.md': configurationDocument(),
    'errors.md': errorsDocument(),
    'metrics.md': metricsDocument(),
    'troubleshooting.md': troubleshootingDocument(),
  }
  const style = await resolveConfig(join(import.meta.dirname, KNOWN_OBJECTS))
  const known = await format(knownDefinitions(), { ...style, parser: 'typescript' })
  const objects = Object.entries(customResourceDefinitions()).map(
    ([name, text]) => [`${OBJECTS}/${name}`, text] as const,
  )
  const formatted = Object.entries(documents).map(
    async ([name, text]) =>
      [name, await format(text, { parser: name.endsWith('.json') ? 'json' : 'markdown', printWidth: 120 })] as const,
  )
  return Object.fromEntries([[KNOWN_OBJECTS, known], ...objects, ...(await Promise.all(formatted))])
}
