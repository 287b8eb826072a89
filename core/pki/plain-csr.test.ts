import { generateKeyPairSync } from 'node:crypto'
import { expect, test } from 'vitest'
import { createCsr, parseCsr } from './csr.ts'
import { DerCursor } from './der-cursor.ts'
import { TAG } from './der-tags.ts'
import { readDer } from './der.ts'
import { generateKeyPair, spkiOf } from './key.ts'
import { takePlainCsrApart } from './plain-csr.ts'

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const good = createCsr(privateKey)
/** By whatever rule. */
const REFUSED = /^the (certificate request is |public key cannot)/

/** The same parts by way of the parser. */
function parsed(der: Uint8Array) {
  const request = new DerCursor(readDer(der), TAG.sequence, 'the request')
  const info = request.take(TAG.sequence, 'the information')
  request.take(TAG.sequence, 'the algorithm')
  const signature = request.take(TAG.bitString, 'the signature').contents.subarray(1)
  return { info: info.raw, spki: info.children[2]?.raw, signature }
}

test('takes every request apart that is made here for such a key, as the parser does', () => {
  for (let turn = 0; turn < 200; turn += 1) {
    const csr = createCsr(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)
    expect(takePlainCsrApart(csr)).toEqual(parsed(csr))
  }
})

test.for(['ec-p384', 'rsa-2048'] as const)('leaves a request for %s to the parser', async (keyType) => {
  expect(takePlainCsrApart(createCsr((await generateKeyPair(keyType)).privateKey))).toBeUndefined()
})

/** Where it may differ: the coordinates of the point, and the signature, which OpenSSL wants to be DER. */
function isFree(offset: number): boolean {
  const { spki, signature } = parsed(good)
  const pointAt = good.indexOf(spki ?? '') + Number(spki?.length) - 64
  return (offset >= pointAt && offset < pointAt + 64) || offset >= good.length - signature.length
}

test('invariant 10: any other octet anywhere else leaves it to the parser, which refuses it or reads the same', () => {
  for (let offset = 0; offset < good.length; offset += 1) {
    for (const octet of [0x00, 0x01, 0x7f, 0x80, 0xff, (good[offset] ?? 0) ^ 0x20]) {
      if (octet === good[offset]) continue
      const other = Buffer.from(good)
      other[offset] = octet
      if (isFree(offset)) expect(takePlainCsrApart(other)).toEqual(parsed(other))
      else expect(takePlainCsrApart(other), `octet ${offset}`).toBeUndefined()
      expect(() => parseCsr(other), `octet ${offset}`).toThrow(REFUSED)
    }
  }
})

test.for([
  { name: 'nothing', csr: Buffer.alloc(0) },
  { name: 'a part', csr: good.subarray(0, 100) },
  { name: 'all but its last octet', csr: good.subarray(0, -1) },
  { name: 'an octet too many', csr: Buffer.concat([good, Buffer.of(0)]) },
  { name: 'a megabyte more', csr: Buffer.concat([good, Buffer.alloc(1024 * 1024)]) },
  {
    name: 'a length in more octets than it needs',
    csr: Buffer.from([...good.subarray(0, 2), 127, ...good.subarray(3, 116), 13, 0, ...Buffer.alloc(12)]),
  },
  { name: 'an empty signature', csr: Buffer.from([...good.subarray(0, 2), 114, ...good.subarray(3, 116), 1, 0]) },
])('leaves $name to the parser, which refuses it', ({ csr }) => {
  expect(takePlainCsrApart(csr)).toBeUndefined()
  expect(() => parseCsr(csr)).toThrow(REFUSED)
})

test('what leaves is not in the buffer of the caller', () => {
  const csr = Buffer.from(good)
  const { spki } = parseCsr(csr)
  csr.fill(0)
  expect(spki).toEqual(spkiOf(privateKey))
})
