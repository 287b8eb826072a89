import type { Buffer } from 'node:buffer'
import { createPublicKey, generateKeyPair as generate, hash, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { IdentityError } from '../runtime/errors.ts'
import { DerCursor } from './der-cursor.ts'
import { TAG } from './der-tags.ts'
import { type DerValue, readDer } from './der.ts'
import { dottedOid, OID } from './oid.ts'

/** The kinds of key that are made and issued for. */
export const KEY_TYPES = ['ec-p256', 'ec-p384', 'rsa-2048', 'rsa-3072'] as const
export type KeyType = (typeof KEY_TYPES)[number]

/** Named curves only (RFC 5480 §2.1.1): a key that spells its curve out could spell a weak one. */
const CURVES: Readonly<Record<string, { keyType: KeyType; pointBytes: number }>> = {
  [OID.prime256v1]: { keyType: 'ec-p256', pointBytes: 65 },
  [OID.secp384r1]: { keyType: 'ec-p384', pointBytes: 97 },
}
const CURVE_NAMES = { 'ec-p256': 'P-256', 'ec-p384': 'P-384' } as const
const MODULUS_BITS = { 'rsa-2048': 2048, 'rsa-3072': 3072 } as const

/** The exponent of every current generator; FIPS 186-5 allows none below it. */
const RSA_EXPONENT = 65537
/** An RSA-3072 key takes 422 bytes. */
const MAX_SPKI_BYTES = 1024

const generateAsync = promisify(generate)

/** Makes a key. RSA is done off the main thread: it takes 50 to 500 ms. */
export function generateKeyPair(keyType: KeyType): Promise<{ publicKey: KeyObject; privateKey: KeyObject }> {
  switch (keyType) {
    case 'ec-p256':
    case 'ec-p384':
      return generateAsync('ec', { namedCurve: CURVE_NAMES[keyType], paramEncoding: 'named' })
    case 'rsa-2048':
    case 'rsa-3072':
      return generateAsync('rsa', { modulusLength: MODULUS_BITS[keyType], publicExponent: RSA_EXPONENT })
  }
}

/**
 * The type of a key, given as a public or private key object or as SubjectPublicKeyInfo (RFC 5280 §4.1) in DER.
 *
 * Of a point it is only known here that its length is right; that it lies on the curve is checked by whatever imports
 * it, before any signature is verified with it.
 *
 * @throws {@link IdentityError} `key_unsupported`: another algorithm, curve, size or exponent, a curve that is spelled
 *   out, a compressed point, or no DER at all.
 */
export function keyTypeOf(key: KeyObject | Uint8Array): KeyType {
  const spki = key instanceof Uint8Array ? key : spkiOf(key)
  try {
    return readKeyType(readDer(spki, { maxBytes: MAX_SPKI_BYTES }))
  } catch (error) {
    if (!(error instanceof IdentityError) || error.code !== 'der_invalid') throw error
    throw new IdentityError('key_unsupported', `the public key is malformed: ${error.message}`, { cause: error })
  }
}

/**
 * As {@link keyTypeOf}, of SubjectPublicKeyInfo that is already read.
 *
 * @throws {@link IdentityError} `key_unsupported`, `der_invalid`.
 */
export function readKeyType(spki: DerValue): KeyType {
  const info = new DerCursor(spki, TAG.sequence, 'the public key')
  const algorithm = new DerCursor(info.takeAny('an algorithm'), TAG.sequence, 'the algorithm of the public key')
  const bits = info.take(TAG.bitString, 'the key').contents
  info.end()
  if (bits[0] !== 0) unsupported('its bits are not whole octets')

  switch (dottedOid(algorithm.take(TAG.oid, 'the name').contents)) {
    case OID.ecPublicKey: {
      const name = algorithm.maybe(TAG.oid)
      if (!name) return unsupported('a curve that is not named')
      const curve = CURVES[dottedOid(name.contents)]
      algorithm.end()
      if (!curve) return unsupported('a curve other than P-256 and P-384')
      if (bits.length - 1 !== curve.pointBytes || bits[1] !== 0x04)
        unsupported('not an uncompressed point of its curve')
      return curve.keyType
    }
    case OID.rsaEncryption:
      algorithm.take(TAG.null, 'the parameters')
      algorithm.end()
      return readRsaKeyType(bits.subarray(1))
    default:
      return unsupported('neither EC nor RSA')
  }
}

/** RSAPublicKey (RFC 8017 appendix A.1.1): the modulus and the exponent. */
function readRsaKeyType(der: Uint8Array): KeyType {
  const key = new DerCursor(readDer(der, { maxBytes: MAX_SPKI_BYTES }), TAG.sequence, 'the RSA key')
  const modulus = key.take(TAG.integer, 'the modulus').contents
  const exponent = key.take(TAG.integer, 'the exponent').contents
  key.end()
  // A modulus of full size has its highest bit set, and so a zero octet before it.
  const bits = modulus[0] === 0 && (modulus[1] ?? 0) >= 0x80 ? (modulus.length - 1) * 8 : 0
  const keyType = KEY_TYPES.find((type) => type in MODULUS_BITS && MODULUS_BITS[type as 'rsa-2048'] === bits)
  if (!keyType) return unsupported('an RSA modulus of another size than 2048 and 3072 bits')
  if ((modulus.at(-1) ?? 0) % 2 === 0) unsupported('an even RSA modulus')
  if (exponent.length > 4 || exponent.readIntBE(0, exponent.length) !== RSA_EXPONENT) {
    unsupported(`an RSA exponent other than ${RSA_EXPONENT}`)
  }
  return keyType
}

function unsupported(what: string): never {
  throw new IdentityError('key_unsupported', `the public key cannot be certified: ${what}`)
}

/** SubjectPublicKeyInfo in DER, of a public key or of the public half of a private one. */
export function spkiOf(key: KeyObject): Buffer {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key
  return publicKey.export({ format: 'der', type: 'spki' })
}

/** PKCS#8 (RFC 5958) in DER, not encrypted. */
export function pkcs8Of(privateKey: KeyObject): Buffer {
  return privateKey.export({ format: 'der', type: 'pkcs8' })
}

/** SHA-256 of SubjectPublicKeyInfo, in lower-case hex: what revocations and the ledger know a key by. */
export function publicKeySha256(spki: Uint8Array): string {
  return hash('sha256', spki, 'hex')
}
