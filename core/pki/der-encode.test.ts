import { expect, test } from 'vitest'
import { encodeDer, encoded, joined, primitive, sequence } from './der-encode.ts'
import { TAG } from './der-tags.ts'

test.for([0, 1, 100, 0x7b, 0x7c, 0x7d, 0x7e, 0xf9, 0xfa, 0xfb, 0xfc, 0x100, 0xfff7, 0xfff8, 0xfffa, 0xfffb, 0x10_000])(
  'encodings of %i octets are joined as node-forge joins them',
  (length) => {
    const parts = [encodeDer(primitive(TAG.octetString, Buffer.alloc(length, 1))), encodeDer(sequence())]
    expect(joined(TAG.sequence, parts)).toEqual(encodeDer(sequence(...parts.map(encoded))))
  },
)
