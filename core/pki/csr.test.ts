import { execFileSync } from 'node:child_process'
import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { refusal } from '../../test/vectors/refusal.ts'
import { createCsr, parseCsr } from './csr.ts'
import {
  bitString,
  constructed,
  type DerNode,
  encodeDer,
  encoded,
  integer,
  nullValue,
  octetString,
  oid,
  sequence,
} from './der-encode.ts'
import { encodeName } from './distinguished-name.ts'
import { generateKeyPair, KEY_TYPES, spkiOf } from './key.ts'
import { OID } from './oid.ts'
import { pemEncode } from './pem.ts'

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const spki = spkiOf(privateKey)

describe.for(KEY_TYPES)('a request for %s', (keyType) => {
  test('is read as it was made, and OpenSSL verifies it', async () => {
    const key = await generateKeyPair(keyType)
    const csr = createCsr(key.privateKey)
    expect(parseCsr(csr)).toEqual({ spki: spkiOf(key.publicKey), keyType })
    const input = pemEncode('CERTIFICATE REQUEST', csr)
    const text = execFileSync('openssl', ['req', '-verify', '-noout', '-text'], {
      input,
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    expect(text.toString()).toMatch(/Subject: *\n/)
  })
})

test('the key that leaves is not in the buffer of the caller', () => {
  const csr = createCsr(privateKey)
  const key = parseCsr(csr)
  csr.fill(0)
  expect(key.spki).toEqual(spki)
})

/** A request whose parts can be wrong one by one, with a signature that is good for what it is over. */
function request(parts: {
  version?: DerNode
  subject?: DerNode
  key?: Uint8Array
  attributes?: DerNode[]
  more?: DerNode[]
  algorithm?: DerNode
  signer?: KeyObject
  signature?: DerNode
  end?: DerNode[]
}): Buffer {
  const {
    version = integer(0),
    subject = sequence(),
    key = spki,
    attributes = [constructed(0xa0, [])],
    more = [],
  } = parts
  const { algorithm = sequence(oid(OID.ecdsaWithSha256)), signer = privateKey, end = [] } = parts
  const info = sequence(version, subject, encoded(key), ...attributes, ...more)
  const signature = parts.signature ?? bitString(sign('sha256', encodeDer(info), signer))
  return encodeDer(sequence(info, algorithm, signature, ...end))
}

const other = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const good = request({})
/** The point (1, 1) is not on P-256. */
const offCurve = Buffer.concat([spki.subarray(0, -64), Buffer.alloc(31), Buffer.of(1), Buffer.alloc(31), Buffer.of(1)])
const infinity = encodeDer(sequence(sequence(oid(OID.ecPublicKey), oid(OID.prime256v1)), bitString(Buffer.of(0))))

test('nothing is wrong with a request whose parts are right', () =>
  expect(parseCsr(good)).toEqual({ spki, keyType: 'ec-p256' }))

test.for([
  {
    name: 'invariant 1: a signature by another key',
    csr: request({ signer: other.privateKey }),
    code: 'csr_invalid',
    says: 'does not prove',
  },
  {
    name: 'invariant 1: one with a subject',
    csr: request({ subject: encoded(encodeName({ commonName: 'cart' })), signer: other.privateKey }),
    code: 'csr_invalid',
    says: 'does not prove',
  },
  {
    name: 'a key that is another’s',
    csr: request({ key: spkiOf(other.publicKey) }),
    code: 'csr_invalid',
    says: 'does not prove',
  },
  { name: 'a point off its curve', csr: request({ key: offCurve }), code: 'csr_invalid', says: 'does not prove' },
  { name: 'the point at infinity', csr: request({ key: infinity }), code: 'key_unsupported', says: 'point' },
  {
    name: 'an empty signature',
    csr: request({ signature: bitString(Buffer.alloc(0)) }),
    code: 'csr_invalid',
    says: 'does not prove',
  },
  {
    name: 'a signature of zeros',
    csr: request({ signature: bitString(encodeDer(sequence(integer(0), integer(0)))) }),
    code: 'csr_invalid',
    says: 'does not prove',
  },
  {
    name: 'a signature that is no BIT STRING',
    csr: request({ signature: octetString(Buffer.alloc(70)) }),
    code: 'csr_invalid',
    says: 'wrong type',
  },
  {
    name: 'a signature with unused bits',
    csr: request({ signature: bitString(Buffer.of(0x80), 7) }),
    code: 'csr_invalid',
    says: 'whole octets',
  },
  {
    name: 'NULL as parameters of ECDSA',
    csr: request({ algorithm: sequence(oid(OID.ecdsaWithSha256), nullValue()) }),
    code: 'csr_invalid',
    says: 'too many members',
  },
  {
    name: 'an RSA signature by an EC key',
    csr: request({ algorithm: sequence(oid(OID.sha256WithRsa), nullValue()) }),
    code: 'csr_invalid',
    says: 'another kind',
  },
  {
    name: 'an Ed25519 signature by an EC key',
    csr: request({ algorithm: sequence(oid(OID.ed25519)) }),
    code: 'csr_invalid',
    says: 'another kind',
  },
  {
    name: 'another digest than signed',
    csr: request({ algorithm: sequence(oid(OID.ecdsaWithSha384)) }),
    code: 'csr_invalid',
    says: 'does not prove',
  },
  { name: 'version v2', csr: request({ version: integer(1) }), code: 'csr_invalid', says: 'not v1' },
  { name: 'no attributes', csr: request({ attributes: [] }), code: 'csr_invalid', says: 'attributes' },
  {
    name: 'attributes twice',
    csr: request({ more: [constructed(0xa0, [])] }),
    code: 'csr_invalid',
    says: 'too many members',
  },
  {
    name: 'a subject that is no SEQUENCE',
    csr: request({ subject: constructed(0x31, []) }),
    code: 'csr_invalid',
    says: 'wrong type',
  },
  { name: 'a member too many', csr: request({ end: [nullValue()] }), code: 'csr_invalid', says: 'too many members' },
  { name: 'trailing bytes', csr: Buffer.concat([good, Buffer.of(0)]), code: 'csr_invalid', says: 'malformed' },
  {
    name: 'an attribute of 1 MiB',
    csr: request({ attributes: [constructed(0xa0, [octetString(Buffer.alloc(1024 * 1024))])] }),
    code: 'csr_invalid',
    says: 'more than 16384 bytes',
  },
  { name: 'nothing', csr: Buffer.alloc(0), code: 'csr_invalid', says: 'malformed' },
  { name: 'PEM', csr: Buffer.from(pemEncode('CERTIFICATE REQUEST', good)), code: 'csr_invalid', says: 'malformed' },
])('refuses $name', ({ csr, code, says }) => {
  expect(() => parseCsr(csr)).toThrow(refusal(code, says))
})

test('invariant 10: refuses a request in BER', () => {
  // The outer SEQUENCE with an indefinite length.
  const header = (good[1] ?? 0) < 0x80 ? 2 : 2 + ((good[1] ?? 0) & 0x7f)
  const ber = Buffer.concat([Buffer.of(0x30, 0x80), good.subarray(header), Buffer.of(0, 0)])
  expect(() => parseCsr(ber)).toThrow(refusal('csr_invalid', 'malformed'))
})

test('the bound can be lowered', () => {
  expect(() => parseCsr(good, { maxBytes: 100 })).toThrow(refusal('csr_invalid', 'more than 100 bytes'))
})
