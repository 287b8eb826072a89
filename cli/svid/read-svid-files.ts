import { createPrivateKey, type KeyObject } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pemDecode } from '../../core/pki/pem.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
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
  const chain = certificatesOf(await text(join(directory, CHAIN_FILE)))
  const authorities = await optional(join(directory, AUTHORITIES_FILE))
  const key = await optional(join(directory, KEY_FILE))
  return {
    source: directory,
    chain,
    ...(authorities !== undefined && { authorities: certificatesOf(authorities) }),
    ...(key !== undefined && { privateKey: privateKeyOf(key, join(directory, KEY_FILE)) }),
  }
}

/** The SVID of one PEM file: certificates, and perhaps their key (`credential-bundle.pem`), with the `ca.crt` beside it. */
export async function readSvidFile(file: string): Promise<FoundSvid> {
  const found = await text(file)
  const hasKey = pemDecode(found).some(({ label }) => label.endsWith('PRIVATE KEY'))
  const authorities = await optional(join(dirname(file), AUTHORITIES_FILE))
  return {
    source: file,
    chain: certificatesOf(found),
    ...(authorities !== undefined && { authorities: certificatesOf(authorities) }),
    ...(hasKey && { privateKey: privateKeyOf(found, file) }),
  }
}

/** DER of the certificates of a PEM text. */
export function certificatesOf(pem: string): Uint8Array[] {
  return pemDecode(pem).flatMap(({ label, der }) => (label === 'CERTIFICATE' ? [der] : []))
}

function privateKeyOf(pem: string, file: string): KeyObject {
  const block = pemDecode(pem).find(({ label }) => label.endsWith('PRIVATE KEY'))
  try {
    if (!block) throw new TypeError('no key')
    const type = block.label === 'EC PRIVATE KEY' ? 'sec1' : block.label === 'RSA PRIVATE KEY' ? 'pkcs1' : 'pkcs8'
    return createPrivateKey({ key: block.der, format: 'der', type })
  } catch {
    // Never the error itself: it may quote what it could not read.
    throw new IdentityError('pem_invalid', `${file} holds no private key that can be read`)
  }
}

async function text(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw unreadable(file, error)
  }
}

/** The key is its workload's alone, and a folder need not hold a bundle. */
async function optional(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch {
    return undefined
  }
}

function unreadable(path: string, error: unknown): IdentityError {
  return new IdentityError(
    'config_invalid',
    `${path} cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'error'}`,
  )
}
