/** `npm run manifests`: writes `deploy/manifests` anew. It builds Helm, once. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { manifestFiles } from './manifests.ts'

const DIRECTORY = join(import.meta.dirname, '..', '..', 'deploy', 'manifests')

await mkdir(DIRECTORY, { recursive: true })
for (const [name, text] of Object.entries(await manifestFiles())) await writeFile(join(DIRECTORY, name), text)
