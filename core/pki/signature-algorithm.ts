import { sign, verify, type KeyObject } from 'node:crypto'
import { DerCursor } from './der-cursor.ts'
import { type DerNode, nullValue, oid, sequence } from './der-encode.ts'
import { TAG } from './der-tags.ts'
import type { DerValue } from './der.ts'
import type { KeyType } from './key.ts'
import { dottedOid, OID } from './oid.ts'

/** A way to sign, as AlgorithmIdentifier names it. */
export interface SignatureAlgorithm {
  readonly oid: string
  /** The digest, or `undefined` where the algorithm brings its own. */
  readonly digest: 'sha256' | 'sha384' | 'sha512' | undefined
  /** RFC 5758 §3.2 and RFC 8410 §3 leave parameters out; RFC 4055 §5 demands NULL. */
  readonly parameters: 'absent' | 'null'
  /** What OpenSSL calls the keys that sign so. */
  readonly key: 'ec' | 'rsa' | 'ed25519'
}

/** What is believed. No SHA-1, and no RSA-PSS, whose parameters no issuer of SVIDs is known to use. */
const ALGORITHMS: ReadonlyMap<string, SignatureAlgorithm> = new Map(
  (
    [
      { oid: OID.ecdsaWithSha256, digest: 'sha256', parameters: 'absent', key: 'ec' },
      { oid: OID.ecdsaWithSha384, digest: 'sha384', parameters: 'absent', key: 'ec' },
      { oid: OID.ecdsaWithSha512, digest: 'sha512', parameters: 'absent', key: 'ec' },
      { oid: OID.sha256WithRsa, digest: 'sha256', parameters: 'null', key: 'rsa' },
      { oid: OID.sha384WithRsa, digest: 'sha384', parameters: 'null', key: 'rsa' },
      { oid: OID.sha512WithRsa, digest: 'sha512', parameters: 'null', key: 'rsa' },
      { oid: OID.ed25519, digest: undefined, parameters: 'absent', key: 'ed25519' },
    ] satisfies SignatureAlgorithm[]
  ).map((algorithm) => [algorithm.oid, algorithm]),
)

/** How a key of ours signs. */
const CHOSEN: Readonly<Record<KeyType, string>> = {
  'ec-p256': OID.ecdsaWithSha256,
  'ec-p384': OID.ecdsaWithSha384,
  'rsa-2048': OID.sha256WithRsa,
  'rsa-3072': OID.sha256WithRsa,
}

/** The algorithm that a key of this type signs with. */
export function signatureAlgorithmFor(keyType: KeyType): SignatureAlgorithm {
  const algorithm = ALGORITHMS.get(CHOSEN[keyType])
  if (!algorithm) throw new TypeError(`no signature algorithm for ${keyType}`)
  return algorithm
}

/** AlgorithmIdentifier (RFC 5280 §4.1.1.2). */
export function algorithmIdentifier({ oid: name, parameters }: SignatureAlgorithm): DerNode {
  return sequence(oid(name), parameters === 'null' ? nullValue() : undefined)
}

/**
 * Reads an AlgorithmIdentifier, parameters included.
 *
 * @returns `undefined` for an algorithm that is not believed.
 * @throws {@link IdentityError} `der_invalid` where the parameters are not those of the algorithm.
 */
export function readSignatureAlgorithm(value: DerValue): SignatureAlgorithm | undefined {
  const identifier = new DerCursor(value, TAG.sequence, 'the signature algorithm')
  const algorithm = ALGORITHMS.get(dottedOid(identifier.take(TAG.oid, 'the name').contents))
  if (!algorithm) return undefined
  if (algorithm.parameters === 'null') identifier.take(TAG.null, 'the parameters')
  identifier.end()
  return algorithm
}

/** Signs; ECDSA comes out as the DER that certificates and requests hold. */
export function signWith({ digest }: SignatureAlgorithm, data: Uint8Array, privateKey: KeyObject): Buffer {
  return sign(digest, data, privateKey)
}

/**
 * Whether `signature` over `data` is good; with a key that is none (a point off its curve, say) it is not. No key object
 * is made: one costs 12 to 22 µs and a native handle that only the garbage collector frees.
 */
export function verifyWith(
  { digest }: SignatureAlgorithm,
  data: Uint8Array,
  spki: Buffer,
  signature: Uint8Array,
): boolean {
  try {
    return verify(digest, data, { key: spki, format: 'der', type: 'spki' }, signature)
  } catch {
    return false
  }
}
