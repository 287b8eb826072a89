import type { KeyObject } from 'node:crypto'
import type { Issuer } from '../../core/pki/certificate-builder.ts'
import type { Certificate } from '../../core/pki/certificate.ts'

/** An authority that signs now. */
export interface SigningAuthority {
  /** Its subject key identifier, hexadecimal: how ledger, log and people name it. */
  readonly keyId: string
  readonly issuer: Issuer
  /** Nothing that it signs is valid before this (design §8). */
  readonly notBefore: Date
  /** Nothing that it signs is valid beyond this (design §8). */
  readonly notAfter: Date
  /** DER: what follows the leaf on the wire; nothing where the authority itself is in the bundle. */
  readonly chain: readonly Uint8Array[]
}

/** What issuance needs of authorities. */
export interface SigningAuthorities {
  /** @throws `IdentityError` `authority_unavailable` when none is valid at `at`: an expired issuer never signs. */
  signing(at: Date): SigningAuthority
}

/** An authority that has just been made, before anybody knows it. */
export interface NewAuthority {
  readonly privateKey: KeyObject
  readonly certificate: Certificate
  readonly chain: readonly Certificate[]
  /** What verifiers must trust for its leaves. */
  readonly anchor: Certificate
}

/** Where authorities come from: they sign themselves, or an upstream signs them. */
export interface AuthoritySource {
  make(validity: { readonly notBefore: Date; readonly notAfter: Date }): Promise<NewAuthority>
}
