import { readFileSync } from 'node:fs'
import { format } from 'prettier'
import { adminApiDocument } from './admin-api-document.ts'
import { cliDocument } from './cli-document.ts'
import { chartValuesDocument } from './chart-values-document.ts'
import { chartValuesSchema } from './chart-values-schema.ts'
import { configurationDocument } from './configuration-document.ts'
import { customResourceDefinitions } from './custom-resources.ts'
import { errorsDocument } from './errors-document.ts'
import { metricsDocument } from './metrics-document.ts'
import { troubleshootingDocument } from './troubleshooting-document.ts'

/** Written by hand but for its part about the broker's configuration. */
const CHART_SCHEMA = '../deploy/chart/values.schema.json'

const OBJECTS = '../deploy/chart/files/crds'

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
  const objects = Object.entries(customResourceDefinitions()).map(
    ([name, text]) => [`${OBJECTS}/${name}`, text] as const,
  )
  const formatted = Object.entries(documents).map(
    async ([name, text]) =>
      [name, await format(text, { parser: name.endsWith('.json') ? 'json' : 'markdown', printWidth: 120 })] as const,
  )
  return Object.fromEntries([...objects, ...(await Promise.all(formatted))])
}
