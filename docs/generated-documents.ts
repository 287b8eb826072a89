import { format } from 'prettier'
import { configurationDocument } from './configuration-document.ts'
import { errorsDocument } from './errors-document.ts'
import { metricsDocument } from './metrics-document.ts'
import { troubleshootingDocument } from './troubleshooting-document.ts'

/** The text of each generated document by its file name, formatted as the project's formatter would. */
export async function generatedDocuments(): Promise<Record<string, string>> {
  const documents = {
    'configuration.md': configurationDocument(),
    'errors.md': errorsDocument(),
    'metrics.md': metricsDocument(),
    'troubleshooting.md': troubleshootingDocument(),
  }
  const formatted = Object.entries(documents).map(
    async ([name, text]) => [name, await format(text, { parser: 'markdown', printWidth: 120 })] as const,
  )
  return Object.fromEntries(await Promise.all(formatted))
}
