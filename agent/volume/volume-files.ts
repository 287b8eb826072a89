import { Buffer } from 'node:buffer'
import { pemEncode } from '../../core/pki/pem.ts'
import { bundleToPem } from '../../core/spiffe/bundle.ts'
import type { Delivered } from '../workloads/workload.ts'

/** One file of a volume. */
export interface VolumeFile {
  readonly name: string
  readonly contents: Buffer
  /** Holds a private key. */
  readonly secret: boolean
  /** Pods see it; what they do not is for the agent to come back to after a restart. */
  readonly visible: boolean
}

/** The names that the agent reads again after a restart. */
export const CERTIFICATE_FILE = 'tls.crt'
export const KEY_FILE = 'tls.key'
export const HINT_FILE = 'hint'
const CREDENTIAL_BUNDLE_FILE = 'credential-bundle.pem'
/** Those that hold a private key. */
export const SECRET_FILES: readonly string[] = [KEY_FILE, CREDENTIAL_BUNDLE_FILE]

/** NAME_MAX of Linux. A trust domain's name alone may take all of it. */
const MAX_NAME_BYTES = 255

/** Of the trust bundle of each trust domain. */
export const BUNDLE_SUFFIX = '.spiffe-trust-bundle.pem'
const AUTHORITIES_FILE = 'ca.crt'

/** Whether the file says whom to trust. */
export function isTrustFile(name: string): boolean {
  return name === AUTHORITIES_FILE || name.endsWith(BUNDLE_SUFFIX)
}

/**
 * The files that pods see (design §6): the public contract. `credential-bundle.pem` and `<td>.spiffe-trust-bundle.pem`
 * are SPIFFE's filesystem delivery: the key first, then certificates from the leaf upwards, nothing else, and bundles of
 * trust domains never merged. A domain whose name leaves no room for the suffix has no file.
 */
export function volumeFiles({ svid, bundles }: Delivered): VolumeFile[] {
  const chain = svid.chain.map((der) => pemEncode('CERTIFICATE', der)).join('')
  const key = pemEncode('PRIVATE KEY', svid.privateKey)
  const trust = [bundles.own, ...bundles.federated].map((bundle) =>
    visible(`${bundle.trustDomain.toString()}${BUNDLE_SUFFIX}`, bundleToPem(bundle)),
  )
  return [
    visible(KEY_FILE, key),
    visible(AUTHORITIES_FILE, bundleToPem(bundles.own)),
    visible(CREDENTIAL_BUNDLE_FILE, key + chain),
    ...trust.filter(({ name }) => name.length <= MAX_NAME_BYTES),
    // Last, as their links appear in this order: a program that was started before us and waits for it finds the rest.
    visible(CERTIFICATE_FILE, chain),
    { ...visible(HINT_FILE, svid.hint), visible: false },
  ]
}

/** Of the files of a generation those that pods see, in the order in which their links appear. */
export function visibleNames(names: readonly string[]): string[] {
  const before = names.filter((name) => name !== HINT_FILE && name !== CERTIFICATE_FILE)
  return [...before, ...names.filter((name) => name === CERTIFICATE_FILE)]
}

function visible(name: string, text: string): VolumeFile {
  return { name, contents: Buffer.from(text), secret: SECRET_FILES.includes(name), visible: true }
}
