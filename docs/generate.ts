/**
 * Writes the documents that are made from the code: `docs/errors.md`, `docs/metrics.md`, `docs/configuration.md`,
 * `docs/troubleshooting.md` and `docs/chart-values.md`, what the schema of the chart's values says of the broker's
 * configuration, the definitions of our objects, and by what the command knows them. Run by `npm run generate`; `test/docs.test.ts` fails when they differ from what stands here.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { generatedDocuments } from './generated-documents.ts'

for (const [name, text] of Object.entries(await generatedDocuments()))
  writeFileSync(join(import.meta.dirname, name), text)
