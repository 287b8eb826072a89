import type { Buffer } from 'node:buffer'
import type { KeyObject } from 'node:crypto'
import { IdentityError } from '../runtime/errors.ts'
import { DerCursor } from './der-cursor.ts'
import { bitString, constructed, encodeDer, encoded, integer, sequence } from './der-encode.ts'
import { contextTag, TAG } from './der-tags.ts'
import { readDer } from './der.ts'
import { keyTypeOf, readKeyType, spkiOf, type KeyType } from './key.ts'
import { PLAIN_ALGORITHM, takePlainCsrApart } from './plain-csr.ts'
import {
  algorithmIdentifier,
  readSignatureAlgorithm,
  type SignatureAlgorithm,
  signatureAlgorithmFor,
  signWith,
  verifyWith,
} from './signature-algorithm.ts'

const MAX_BYTES = 16 * 1024
const ATTRIBUTES = contextTag(0, 'constructed')

/** The one thing that is taken from a request: a key that its sender has proven to hold. */
export interface ProvenKey {
  /** SubjectPublicKeyInfo in DER. */
  readonly spki: Buffer
  readonly keyType: KeyType
}

/** A PKCS#10 request (RFC 2986) that says nothing but its key: empty subject, no attributes. */
export function createCsr(privateKey: KeyObject): Buffer {
  const spki = spkiOf(privateKey)
  const algorithm = signatureAlgorithmFor(keyTypeOf(spki))
  const info = sequence(integer(0), sequence(), encoded(spki), constructed(ATTRIBUTES, []))
  const signature = signWith(algorithm, encodeDer(info), privateKey)
  return encodeDer(sequence(info, algorithmIdentifier(algorithm), bitString(signature)))
}

/**
 * Reads a PKCS#10 request and verifies its signature. Subject and attributes, whatever they ask for, stay behind here:
 * only the key leaves.
 *
 * @param der strict DER of at most `maxBytes` (default 16,384).
 * @throws {@link IdentityError} `csr_invalid`; `key_unsupported` if all is well but the key's type.
 * @see {@link https://www.rfc-editor.org/rfc/rfc2986#section-4 RFC 2986 §4}
 */
export function parseCsr(der: Uint8Array, { maxBytes = MAX_BYTES }: { maxBytes?: number } = {}): ProvenKey {
  try {
    return readCsr(der, maxBytes)
  } catch (error) {
    if (!(error instanceof IdentityError) || error.code !== 'der_invalid') throw error
    throw new IdentityError('csr_invalid', `the certificate request is malformed: ${error.message}`, { cause: error })
  }
}

function readCsr(der: Uint8Array, maxBytes: number): ProvenKey {
  const plain = der.length <= maxBytes ? takePlainCsrApart(der) : undefined
  if (plain) {
    checkProof(PLAIN_ALGORITHM, plain)
    return { spki: plain.spki, keyType: 'ec-p256' }
  }
  const request = new DerCursor(readDer(der, { maxBytes }), TAG.sequence, 'the request')
  const info = request.take(TAG.sequence, 'the information')
  const algorithm = readSignatureAlgorithm(request.takeAny('a signature algorithm'))
  const signature = request.take(TAG.bitString, 'the signature').contents
  request.end()

  const members = new DerCursor(info, TAG.sequence, 'the information')
  const version = members.take(TAG.integer, 'the version').contents
  members.take(TAG.sequence, 'the subject')
  const publicKey = members.take(TAG.sequence, 'the public key')
  members.take(ATTRIBUTES, 'the attributes')
  members.end()

  if (version.length !== 1 || version[0] !== 0) refuse('its version is not v1')
  const keyType = readKeyType(publicKey)
  if (!algorithm) return refuse('its signature algorithm is not supported')
  if (algorithm.key !== (keyType.startsWith('ec-') ? 'ec' : 'rsa'))
    refuse('its signature is of another kind than its key')
  const spki = publicKey.raw
  if (signature[0] !== 0) refuse('its signature is not whole octets')
  checkProof(algorithm, { info: info.raw, spki, signature: signature.subarray(1) })
  return { spki, keyType }
}

function checkProof(
  algorithm: SignatureAlgorithm,
  { info, spki, signature }: { readonly info: Buffer; readonly spki: Buffer; readonly signature: Buffer },
): void {
  if (!verifyWith(algorithm, info, spki, signature)) refuse('its signature does not prove its key')
}

function refuse(what: string): never {
  throw new IdentityError('csr_invalid', `the certificate request is refused: ${what}`)
}
