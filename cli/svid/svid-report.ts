import { createHash, createPublicKey, type KeyObject } from 'node:crypto'
import { type Certificate, parseCertificate } from '../../core/pki/certificate.ts'
import { commonNameOf } from '../../core/pki/distinguished-name.ts'
import { keyTypeOf, spkiOf } from '../../core/pki/key.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import type { X509Bundle } from '../../core/spiffe/bundle.ts'
import { SpiffeId } from '../../core/spiffe/spiffe-id.ts'
import { verifyX509Svid } from '../../core/spiffe/x509-svid.ts'
import { inFile } from '../files/text-file.ts'

/** An SVID as it was found somewhere. */
export interface FoundSvid {
  /** For people: a path, or a pod. */
  readonly source: string
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[]
  /** PEM or DER certificates to verify it with, as they lay beside it. */
  readonly authorities?: readonly Uint8Array[] | undefined
  /** Whose they are, where that is not plain: ends "by authority …". */
  readonly vouching?: string | undefined
  /** Compared and never shown; `undefined` where it was not looked at. */
  readonly privateKey?: KeyObject | undefined
}

/** What there is to say of an SVID. Never anything of its key but whether it is the right one. */
export interface SvidReport {
  readonly source: string
  readonly spiffeId: string
  readonly dnsNames: readonly string[]
  readonly commonName: string | undefined
  readonly serialNumber: string
  readonly notBefore: Date
  readonly notAfter: Date
  readonly keyType: string
  readonly publicKeySha256: string
  /** Subject key identifier of who signed it. */
  readonly authorityKeyId: string | undefined
  /** What stands above the leaf in the chain. */
  readonly intermediates: number
  /** Whether the bundle beside it vouches for it; `undefined` if there was none. */
  readonly verified: { readonly ok: boolean; readonly reason: string } | undefined
  readonly keyMatches: boolean | undefined
}

/**
 * Describes an SVID.
 *
 * @throws {@link IdentityError} `certificate_invalid` if the leaf is no certificate, or that of an authority.
 */
export function svidReport({ source, chain, authorities, vouching, privateKey }: FoundSvid, at: Date): SvidReport {
  const [leaf] = inFile(source, () => chain.map((der) => parseCertificate(der)))
  if (!leaf) throw new IdentityError('certificate_invalid', `${source} holds no certificate`)
  if (leaf.basicConstraints?.isCa)
    throw new IdentityError(
      'certificate_invalid',
      `${source} begins with the certificate of an authority, which is no SVID; countersign bundle show has those of a file`,
    )
  return {
    source,
    spiffeId: leaf.uris[0] ?? '',
    dnsNames: leaf.dnsNames,
    commonName: commonNameOf(leaf.subject),
    serialNumber: leaf.serialNumber,
    notBefore: leaf.notBefore,
    notAfter: leaf.notAfter,
    keyType: nameOfKeyType(leaf),
    publicKeySha256: createHash('sha256').update(leaf.spki).digest('hex'),
    authorityKeyId: leaf.authorityKeyIdentifier?.toString('hex'),
    intermediates: chain.length - 1,
    verified: authorities && verified(chain, authorities, { leaf, at, vouching }),
    keyMatches: privateKey && spkiOf(createPublicKey(privateKey)).equals(leaf.spki),
  }
}

function verified(
  chain: readonly Uint8Array[],
  authorities: readonly Uint8Array[],
  { leaf, at, vouching }: { readonly leaf: Certificate; readonly at: Date; readonly vouching: string | undefined },
): { ok: boolean; reason: string } {
  try {
    const { trustDomain } = SpiffeId.parse(leaf.uris[0] ?? '')
    const bundle: X509Bundle = {
      trustDomain,
      authorities: authorities.map((der) => parseCertificate(der)),
      sequence: 0n,
    }
    const { chain: path } = verifyX509Svid(chain, () => bundle, at)
    const authority = path.at(-1)?.subjectKeyIdentifier?.toString('hex') ?? ''
    return { ok: true, reason: ['by authority', authority, ...(vouching === undefined ? [] : [vouching])].join(' ') }
  } catch (error) {
    if (error instanceof IdentityError) return { ok: false, reason: error.message }
    throw error
  }
}

function nameOfKeyType({ spki }: Certificate): string {
  try {
    return keyTypeOf(spki)
  } catch {
    return 'unknown'
  }
}
