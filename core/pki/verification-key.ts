import type { Buffer } from 'node:buffer'
import { IdentityError } from '../runtime/errors.ts'
import { DerCursor } from './der-cursor.ts'
import { TAG } from './der-tags.ts'
import { readDer } from './der.ts'
import { dottedOid, OID } from './oid.ts'

const CURVES: ReadonlySet<string> = new Set([OID.prime256v1, OID.secp384r1, OID.secp521r1])
const RSA_BITS = { least: 2048, most: 4096 }
/** With a zero octet before it, where its highest bit is set. A long exponent makes OpenSSL work for milliseconds. */
const MAX_EXPONENT_OCTETS = 5
/** An RSA-4096 key takes 550 bytes. */
const MAX_SPKI_BYTES = 1024

/** Whether a signature is verified with this key at all: one that is weak proves nothing, one that is odd costs too much. */
export function isVerificationKey(spki: Buffer): boolean {
  try {
    return readVerificationKey(spki)
  } catch (error) {
    if (error instanceof IdentityError && error.code === 'der_invalid') return false
    throw error
  }
}

function readVerificationKey(spki: Buffer): boolean {
  const info = new DerCursor(readDer(spki, { maxBytes: MAX_SPKI_BYTES }), TAG.sequence, 'the public key')
  const algorithm = new DerCursor(info.takeAny('an algorithm'), TAG.sequence, 'the algorithm of the public key')
  const bits = info.take(TAG.bitString, 'the key').contents
  switch (dottedOid(algorithm.take(TAG.oid, 'the name').contents)) {
    case OID.ecPublicKey:
      return CURVES.has(dottedOid(algorithm.take(TAG.oid, 'the curve').contents))
    case OID.ed25519:
      return true
    case OID.rsaEncryption:
      return isUsualRsaKey(bits.subarray(1))
    default:
      return false
  }
}

function isUsualRsaKey(der: Uint8Array): boolean {
  const key = new DerCursor(readDer(der, { maxBytes: MAX_SPKI_BYTES }), TAG.sequence, 'the RSA key')
  const modulus = key.take(TAG.integer, 'the modulus').contents
  const exponent = key.take(TAG.integer, 'the exponent').contents
  const octets = modulus[0] === 0 ? modulus.subarray(1) : modulus
  const bits = octets.length * 8 - Math.clz32(octets[0] ?? 0) + 24
  return bits >= RSA_BITS.least && bits <= RSA_BITS.most && exponent.length <= MAX_EXPONENT_OCTETS
}
