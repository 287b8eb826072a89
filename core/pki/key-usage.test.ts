import { expect, test } from 'vitest'
import { encodeDer } from './der-encode.ts'
import { readDer } from './der.ts'
import { decodeKeyUsage, encodeKeyUsage, type KeyUsage } from './key-usage.ts'

test.for<{ usages: KeyUsage[]; hex: string }>([
  { usages: ['digitalSignature'], hex: '03020780' },
  { usages: ['digitalSignature', 'keyEncipherment'], hex: '030205a0' },
  { usages: ['keyCertSign', 'cRLSign'], hex: '03020106' },
  { usages: ['decipherOnly'], hex: '0303070080' },
])('$usages is $hex', ({ usages, hex }) => {
  const der = encodeDer(encodeKeyUsage(usages))
  expect(der.toString('hex')).toBe(hex)
  expect([...(decodeKeyUsage(readDer(der).contents) ?? [])]).toEqual(usages)
})

test.for([
  { name: 'no bits', hex: '00' },
  { name: 'bits that are all zero', hex: '0700' },
  { name: 'a zero bit at the end', hex: '0680' },
  { name: 'a bit without a name', hex: '06000040' },
])('refuses $name', ({ hex }) => {
  expect(decodeKeyUsage(Buffer.from(hex, 'hex'))).toBeUndefined()
})
