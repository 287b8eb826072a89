import { readFileSync, watch } from 'node:fs'
import { join } from 'node:path'

/** What a TLS endpoint needs, as PEM, and the leaf's own words. */
export interface Credentials {
  readonly certificates: string
  readonly key: string
  readonly authorities: string
}

/**
 * The credentials in a workload's volume, read through one opened generation: `..data` is resolved once, so that key and
 * certificate are always of the same one.
 */
export function readVolume(directory: string): Credentials {
  // One file holds the pair, so one read can never see half of a rotation.
  const bundle = readFileSync(join(directory, 'credential-bundle.pem'), 'utf8')
  const certificates = bundle.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?/g) ?? []
  const [key] = bundle.match(/-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----\n?/) ?? []
  if (key === undefined || certificates.length === 0) throw new Error(`no credentials in ${directory}`)
  return { certificates: certificates.join(''), key, authorities: readFileSync(join(directory, 'ca.crt'), 'utf8') }
}

/** Calls `changed` with the volume's credentials now and after each rotation. */
export function followVolume(directory: string, changed: (credentials: Credentials) => void): void {
  let last = ''
  const look = () => {
    const credentials = readVolume(directory)
    const seen = JSON.stringify(credentials)
    if (seen === last) return
    last = seen
    changed(credentials)
  }
  look()
  watch(directory, look)
}
