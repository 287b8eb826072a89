import { createPrivateKey, type KeyObject } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pemDecode } from '../../core/pki/pem.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { inFile, readText, unreadable } from '../files/text-file.ts'
import type { FoundSvid } from './svid-report.ts'

/** The files of a volume that are looked at (design §6). */
export const CHAIN_FILE = 'tls.crt'
export const AUTHORITIES_FILE = 'ca.crt'
const KEY_FILE = 'tls.key'

/** What a path is. */
export async function kindOfPath(path: string): Promise<'directory' | 'file' | 'socket'> {
  try {
    const found = await stat(path)
    if (found.isDirectory()) return 'directory'
    return found.isSocket() ? 'socket' : 'file'
  } catch (error) {
    throw unreadable(path, error)
  }
}

/** The SVID of a folder with `tls.crt` and, where they can be read, `ca.crt` and `tls.key`. */
export async function readSvidDirectory(directory: string): Promise<FoundSvid> {
  const [chainFile, authoritiesFile] = [join(directory, CHAIN_FILE), join(directory, AUTHORITIES_FILE)]
  const chain = certificatesIn(chainFile, await readText(chainFile))
  const authorities = await optional(authoritiesFile)
  const key = await optional(join(directory, KEY_FILE))
  return {
    source: directory,
    chain,
    ...(authorities !== undefined && { authorities: certificatesIn(authoritiesFile, authorities) }),
    ...(key !== undefined && { privateKey: privateKeyOf(key, join(directory, KEY_FILE)) }),
  }
}

/** The SVID of one PEM file: certificates, and perhaps their key (`credential-bundle.pem`), with the `ca.crt` beside it. */
export async function readSvidFile(file: string): Promise<FoundSvid> {
  const found = await readText(file)
  const hasKey = inFile(file, () => pemDecode(found)).some(({ label }) => label.endsWith('PRIVATE KEY'))
  const authoritiesFile = join(dirname(file), AUTHORITIES_FILE)
  const authorities = await optional(authoritiesFile)
  return {
    source: file,
    chain: certificatesOf(found),
    ...(authorities !== undefined && { authorities: certificatesIn(authoritiesFile, authorities) }),
    ...(hasKey && { privateKey: privateKeyOf(found, file) }),
  }
}

/** DER of the certificates of a PEM text. */
export function certificatesOf(pem: string): Uint8Array[] {
  return pemDecode(pem).flatMap(({ label, der }) => (label === 'CERTIFICATE' ? [der] : []))
}

function privateKeyOf(pem: string, file: string): KeyObject {
  const block = inFile(file, () => pemDecode(pem)).find(({ label }) => label.endsWith('PRIVATE KEY'))
  try {
    if (!block) throw new TypeError('no key')
    const type = block.label === 'EC PRIVATE KEY' ? 'sec1' : block.label === 'RSA PRIVATE KEY' ? 'pkcs1' : 'pkcs8'
    return createPrivateKey({ key: block.der, format: 'der', type })
  } catch {
    // Never the error itself: it may quote what it could not read.
    throw new IdentityError('pem_invalid', `${file} holds no private key that can be read`)
  }
}

/** DER of the certificates of a PEM file. */
function certificatesIn(file: string, pem: string): Uint8Array[] {
  return inFile(file, () => certificatesOf(pem))
}

/** The key is its workload's alone, and a folder need not hold a bundle. */
async function optional(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch {
    return undefined
  }
}
