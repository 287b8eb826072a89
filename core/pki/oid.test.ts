import { describe, expect, test } from 'vitest'
import { dottedOid, OID, oidContents } from './oid.ts'

test.for(Object.entries(OID))('%s reads as it is written', ([, dotted]) => {
  expect(dottedOid(Buffer.from(oidContents(dotted), 'latin1'))).toBe(dotted)
})

describe('others are exact', () => {
  test.for([
    { dotted: '0.0', hex: '00' },
    { dotted: '1.39', hex: '4f' },
    { dotted: '2.0', hex: '50' },
    { dotted: '2.999.3', hex: '883703' },
    { dotted: '1.3.6.1.4.1.55555.1', hex: '2b0601040183b20301' },
    // A UUID is an arc of 128 bits
    {
      dotted: '2.25.329800735698586629295641978511506172918',
      hex: '698 3f09da7ebcfdee0c7a1a7b2c0948cc8f9d776'.replaceAll(' ', ''),
    },
  ])('$dotted', ({ dotted, hex }) => {
    expect(dottedOid(Buffer.from(hex, 'hex'))).toBe(dotted)
  })

  // node-forge reads this one as keyUsage
  test('an arc beyond 2^32 is not taken for a small one', () => {
    expect(dottedOid(Buffer.from('551d908080800f', 'hex'))).toBe('2.5.29.4294967311')
  })
})
