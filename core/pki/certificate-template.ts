import type { DistinguishedName } from './distinguished-name.ts'
import type { KeyUsage } from './key-usage.ts'

/** Everything that a certificate says, as plain data. What is not here is in no certificate of ours. */
export interface CertificateTemplate {
  /** The magnitude of the number, 1 to 20 octets, not zero. */
  readonly serialNumber: Uint8Array
  /** Whole seconds count, the rest is cut off. */
  readonly notBefore: Date
  readonly notAfter: Date
  readonly subject: DistinguishedName
  /** SubjectPublicKeyInfo in DER. */
  readonly spki: Uint8Array
  readonly uri?: string | undefined
  readonly dnsNames: readonly string[]
  readonly basicConstraints: { readonly isCa: boolean; readonly pathLength?: number | undefined }
  readonly keyUsage: readonly KeyUsage[]
  /** Object identifiers, dotted; none leaves the extension out. */
  readonly extendedKeyUsage: readonly string[]
}
