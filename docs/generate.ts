/**
 * Writes the documents that are made from the code: `docs/errors.md`, `docs/metrics.md`, `docs/configuration.md` and
 * `docs/troubleshooting.md`. Run by `npm run generate`; `test/docs.test.ts` fails when they differ from what stands here.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { generatedDocuments } from './generated-documents.ts'

for (const [name, text] of Object.entries(await generatedDocuments()))
  writeFileSync(join(import.meta.dirname, name), text)
