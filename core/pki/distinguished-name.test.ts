import { expect, test } from 'vitest'
import { encodeDer, oid, sequence, setOf, utf8String } from './der-encode.ts'
import { commonNameOf, encodeName } from './distinguished-name.ts'
import { OID } from './oid.ts'

const commonName = (text: string) => setOf(sequence(oid(OID.commonName), utf8String(text)))

test.for([
  { name: 'none', der: encodeName({}), read: undefined },
  { name: 'another attribute', der: encodeName({ organization: 'o' }), read: undefined },
  { name: 'one', der: encodeName({ commonName: 'nœud' }), read: 'nœud' },
  { name: 'one among others', der: encodeName({ organization: 'o', commonName: 'c', serialNumber: 's' }), read: 'c' },
  { name: 'two', der: encodeDer(sequence(commonName('a'), commonName('b'))), read: undefined },
])('the common name: $name', ({ der, read }) => {
  expect(commonNameOf(der)).toBe(read)
})
