import { readFileSync } from 'node:fs'
import { pemDecode } from '../../core/pki/pem.ts'

/** The blocks, in DER, of a file that make.sh made, for example `x509-svid/good-chain`. */
export function vector(name: string): Uint8Array[] {
  const text = readFileSync(new URL(`${name}.pem`, import.meta.url), 'utf8')
  return pemDecode(text).map(({ der }) => der)
}
