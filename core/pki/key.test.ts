import { createPrivateKey, generateKeyPairSync, hash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { refusal } from '../../test/vectors/refusal.ts'
import { encodeDer, bitString, integer, nullValue, oid, sequence } from './der-encode.ts'
import { generateKeyPair, KEY_TYPES, keyTypeOf, pkcs8Of, publicKeySha256, spkiOf } from './key.ts'
import { OID } from './oid.ts'

describe.for(KEY_TYPES)('a key of type %s', (keyType) => {
  test('is told by its public key, its private key and its encoding', async () => {
    const { publicKey, privateKey } = await generateKeyPair(keyType)
    expect([publicKey, privateKey, spkiOf(publicKey)].map(keyTypeOf)).toEqual([keyType, keyType, keyType])
    expect(spkiOf(privateKey)).toEqual(spkiOf(publicKey))
    const again = createPrivateKey({ key: pkcs8Of(privateKey), format: 'der', type: 'pkcs8' })
    expect(again.equals(privateKey)).toBe(true)
    expect(publicKeySha256(spkiOf(publicKey))).toBe(hash('sha256', spkiOf(publicKey), 'hex'))
  })
})

describe('refuses', () => {
  const modulus = Buffer.alloc(256, 0xff)
  const rsa = (n: Uint8Array, e: Uint8Array | number): Buffer =>
    encodeDer(
      sequence(sequence(oid(OID.rsaEncryption), nullValue()), bitString(encodeDer(sequence(integer(n), integer(e))))),
    )
  const spki = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'der', type: 'spki' })

  test('nothing of a key that is right', () => expect(keyTypeOf(rsa(modulus, 65537))).toBe('rsa-2048'))

  test.for([
    { name: 'a modulus of 2047 bits', key: rsa(Buffer.concat([Buffer.of(0x7f), modulus.subarray(1)]), 65537) },
    { name: 'a modulus of 2056 bits', key: rsa(Buffer.alloc(257, 0xff), 65537) },
    { name: 'an even modulus', key: rsa(Buffer.concat([modulus.subarray(1), Buffer.of(0xfe)]), 65537) },
    { name: 'the exponent 1', key: rsa(modulus, 1) },
    { name: 'the exponent 3', key: rsa(modulus, 3) },
    { name: 'a huge exponent', key: rsa(modulus, modulus) },
    { name: 'P-521', key: spkiOf(generateKeyPairSync('ec', { namedCurve: 'P-521' }).publicKey) },
    { name: 'Ed25519', key: spkiOf(generateKeyPairSync('ed25519').publicKey) },
    { name: 'an RSA-PSS key', key: spkiOf(generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).publicKey) },
    {
      name: 'an EC key without a curve',
      key: encodeDer(sequence(sequence(oid(OID.ecPublicKey)), bitString(Buffer.alloc(65, 4)))),
    },
    {
      name: 'a point that is cut',
      key: encodeDer(sequence(sequence(oid(OID.ecPublicKey), oid(OID.prime256v1)), bitString(Buffer.alloc(64, 4)))),
    },
    {
      name: 'a point in hybrid form',
      key: encodeDer(sequence(sequence(oid(OID.ecPublicKey), oid(OID.prime256v1)), bitString(Buffer.alloc(65, 6)))),
    },
    { name: 'trailing bytes', key: Buffer.concat([spki, Buffer.of(0)]) },
    { name: 'a key beyond any size', key: Buffer.alloc(1025, 0x30) },
    { name: 'nothing', key: Buffer.alloc(0) },
  ])('$name', ({ key }) => {
    expect(() => keyTypeOf(key)).toThrow(refusal('key_unsupported'))
  })
})
