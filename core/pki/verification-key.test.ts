import { generateKeyPairSync, createPublicKey } from 'node:crypto'
import { expect, test } from 'vitest'
import { isVerificationKey } from './verification-key.ts'

const rsa = (modulusLength: number, publicExponent = 65537) =>
  generateKeyPairSync('rsa', { modulusLength, publicExponent }).publicKey
const ec = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve }).publicKey

/** An RSA key of these numbers; whether they are primes matters to nobody here. */
const numbers = (modulusBytes: number, exponentBytes: number) =>
  createPublicKey({
    format: 'jwk',
    key: {
      kty: 'RSA',
      n: Buffer.alloc(modulusBytes, 0xff).toString('base64url'),
      e: Buffer.alloc(exponentBytes, 0x7f).toString('base64url'),
    },
  })

test.for([
  { name: 'P-256', key: () => ec('P-256'), believed: true },
  { name: 'P-384', key: () => ec('P-384'), believed: true },
  { name: 'P-521', key: () => ec('P-521'), believed: true },
  { name: 'secp256k1', key: () => ec('secp256k1'), believed: false },
  { name: 'Ed25519', key: () => generateKeyPairSync('ed25519').publicKey, believed: true },
  { name: 'Ed448', key: () => generateKeyPairSync('ed448').publicKey, believed: false },
  { name: 'RSA-1024', key: () => rsa(1024), believed: false },
  { name: 'RSA-2048', key: () => rsa(2048), believed: true },
  { name: 'RSA-2048, exponent 3', key: () => rsa(2048, 3), believed: true },
  { name: 'RSA-4096', key: () => numbers(512, 3), believed: true },
  { name: 'RSA-4104', key: () => numbers(513, 3), believed: false },
  { name: 'RSA, exponent of 32 bits', key: () => numbers(384, 4), believed: true },
  { name: 'RSA, exponent of 48 bits', key: () => numbers(384, 6), believed: false },
  { name: 'RSA, exponent as long as the modulus', key: () => numbers(384, 384), believed: false },
])('$name: $believed', ({ key, believed }) => {
  expect(isVerificationKey(key().export({ format: 'der', type: 'spki' }))).toBe(believed)
})

test('no key at all', () => expect(isVerificationKey(Buffer.of(0x30, 0))).toBe(false))
