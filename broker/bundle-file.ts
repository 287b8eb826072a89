import { open, rename } from 'node:fs/promises'
import { bundleToPem, type X509Bundle } from '../core/spiffe/bundle.ts'

/** Writes the bundle so that a reader sees the old one or the new one and nothing in between, whenever it looks. */
export async function writeBundleFile(file: string, bundle: X509Bundle): Promise<void> {
  const temporary = `${file}.new`
  const handle = await open(temporary, 'w', 0o644)
  try {
    await handle.writeFile(bundleToPem(bundle))
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(temporary, file)
}
