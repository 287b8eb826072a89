import { open, rename, rm } from 'node:fs/promises'
import { extname } from 'node:path'
import { encodeBundleDocument } from '../core/spiffe/bundle-document.ts'
import { bundleToPem, type X509Bundle } from '../core/spiffe/bundle.ts'

/**
 * How a bundle file is written, by its ending. Agents are best given the SPIFFE bundle document: it has the sequence, by
 * which they tell an old one from a new one. PEM is for programs that know nothing else.
 */
export const BUNDLE_FORMATS: Readonly<Record<string, (bundle: X509Bundle) => string>> = {
  '.json': (x509) => encodeBundleDocument({ x509, jwtAuthorities: [] }),
  '.pem': bundleToPem,
}

/** Writes the bundle so that a reader sees the old one or the new one and nothing in between, whenever it looks. */
export async function writeBundleFile(file: string, bundle: X509Bundle): Promise<void> {
  const encode = BUNDLE_FORMATS[extname(file)]
  if (!encode) throw new TypeError('the configuration was checked for this')
  const temporary = `${file}.new`
  // Made anew and never followed: the folder may be one that others write in, too.
  await rm(temporary, { force: true })
  const handle = await open(temporary, 'wx', 0o644)
  try {
    await handle.writeFile(encode(bundle))
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(temporary, file)
}
