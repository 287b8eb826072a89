import { X509Certificate } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { anAuthority, svidRequest } from '../../test/vectors/issued.ts'
import { refusal } from '../../test/vectors/refusal.ts'
import { vector } from '../../test/vectors/vector.ts'
import { x509SvidTemplate } from '../spiffe/x509-svid.ts'
import { signCertificate } from './certificate-builder.ts'
import { parseAnchor, parseCertificate } from './certificate.ts'
import {
  ascii,
  bitString,
  boolean,
  constructed,
  type DerNode,
  encodeDer,
  encoded,
  integer,
  octetString,
  octetStringOf,
  oid,
  primitive,
  sequence,
} from './der-encode.ts'
import { OID } from './oid.ts'

const { issuer } = anAuthority()
const good = signCertificate(x509SvidTemplate(svidRequest({ dnsNames: ['cart.shop.svc'] })), issuer)

describe('Node reads the same from', () => {
  const names = readdirSync(new URL('../../test/vectors/x509-svid', import.meta.url)).map((file) => file.slice(0, -4))
  test.for(names)('%s', (name) => {
    for (const der of vector(`x509-svid/${name}`)) {
      const ours = parseCertificate(der)
      const theirs = new X509Certificate(der)
      expect(ours.serialNumber).toBe(theirs.serialNumber.toLowerCase())
      expect([ours.notBefore, ours.notAfter]).toEqual([theirs.validFromDate, theirs.validToDate])
      expect(ours.spki).toEqual(theirs.publicKey.export({ format: 'der', type: 'spki' }))
      // OpenSSL counts as a CA only what may sign certificates.
      const isCa = ours.basicConstraints?.isCa === true && ours.keyUsage?.has('keyCertSign') !== false
      expect(isCa).toBe(theirs.ca)
      expect(ours.extendedKeyUsage).toEqual(theirs.keyUsage)
      const entries = [...ours.uris.map((uri) => `URI:${uri}`), ...ours.dnsNames.map((dns) => `DNS:${dns}`)]
      expect(entries.sort().join(', ')).toBe((theirs.subjectAltName ?? '').split(', ').sort().join(', '))
    }
  })
})

/** A certificate whose parts can be wrong one by one; its signature is not looked at. */
function certificate(parts: {
  version?: DerNode[]
  serial?: DerNode
  inner?: DerNode
  times?: DerNode
  more?: DerNode[]
  extensions?: DerNode[]
  signature?: DerNode
  end?: DerNode[]
}): Buffer {
  const {
    version = [constructed(0xa0, [integer(2)])],
    serial = integer(7),
    inner = algorithm,
    times = validity,
  } = parts
  const {
    more = [],
    extensions = [extension('2.5.29.19', sequence())],
    signature = bitString(Buffer.of(1)),
    end = [],
  } = parts
  const lists = extensions.length > 0 ? [constructed(0xa3, [sequence(...extensions)])] : []
  const spki = encoded(svidRequest().spki)
  const tbs = sequence(...version, serial, inner, sequence(), times, sequence(), spki, ...more, ...lists)
  return encodeDer(sequence(tbs, algorithm, signature, ...end))
}

function extension(name: string, value: DerNode, critical: DerNode[] = []): DerNode {
  return sequence(oid(name), ...critical, octetStringOf(value))
}

const algorithm = sequence(oid(OID.ecdsaWithSha256))
const time = ascii(0x17, '260601000000Z')
const validity = sequence(time, time)
const uri = primitive(0x86, Buffer.from('spiffe://a.example/x'))

test('nothing is wrong with a certificate whose parts are right', () => {
  expect(parseCertificate(certificate({}))).toMatchObject({ serialNumber: '07', basicConstraints: { isCa: false } })
})

describe('refuses', () => {
  test.for([
    { name: 'version 1', der: certificate({ version: [], extensions: [] }), says: 'not v3' },
    {
      name: 'version 1 that is spelled out',
      der: certificate({ version: [constructed(0xa0, [integer(0)])] }),
      says: 'not v3',
    },
    { name: 'version 2', der: certificate({ version: [constructed(0xa0, [integer(1)])] }), says: 'not v3' },
    { name: 'version 2^16 + 2', der: certificate({ version: [constructed(0xa0, [integer(65538)])] }), says: 'not v3' },
    { name: 'no number as version', der: certificate({ version: [constructed(0xa0, [])] }), says: 'not v3' },
    {
      name: 'a negative serial number',
      der: certificate({ serial: primitive(0x02, Buffer.of(0xff)) }),
      says: 'negative',
    },
    {
      name: 'a serial number of 21 octets',
      der: certificate({ serial: integer(Buffer.alloc(21, 1)) }),
      says: '20 octets',
    },
    {
      name: 'two signature algorithms',
      der: certificate({ inner: sequence(oid(OID.ecdsaWithSha384)) }),
      says: 'two signature',
    },
    { name: 'one time', der: certificate({ times: sequence(time) }), says: 'lacks notAfter' },
    { name: 'three times', der: certificate({ times: sequence(time, time, time) }), says: 'too many' },
    {
      name: 'a time without seconds',
      der: certificate({ times: sequence(time, ascii(0x17, '2606010000Z')) }),
      says: '4.1.2.5',
    },
    {
      name: 'a GeneralizedTime before 2050',
      der: certificate({ times: sequence(time, ascii(0x18, '20260601000000Z')) }),
      says: '4.1.2.5',
    },
    { name: 'a member of no name', der: certificate({ more: [constructed(0xa4, [])] }), says: 'too many' },
    {
      name: 'a list too many',
      der: certificate({ more: [constructed(0xa3, [sequence(sequence())])] }),
      says: 'lacks the name',
    },
    {
      name: 'a signature with unused bits',
      der: certificate({ signature: bitString(Buffer.of(0x80), 7) }),
      says: 'whole octets',
    },
    { name: 'a part behind the signature', der: certificate({ end: [integer(1)] }), says: 'too many' },
    { name: 'trailing bytes', der: Buffer.concat([good, Buffer.of(0)]), says: 'malformed' },
    { name: 'a truncated certificate', der: good.subarray(0, -1), says: 'malformed' },
    { name: 'nothing', der: Buffer.alloc(0), says: 'malformed' },
  ])('$name', ({ der, says }) => {
    expect(() => parseCertificate(der)).toThrow(refusal('certificate_invalid', says))
  })

  test.for([
    { name: 'twice', list: [extension('2.5.29.19', sequence()), extension('2.5.29.19', sequence())], says: 'twice' },
    {
      name: 'with critical FALSE spelled out',
      list: [extension('2.5.29.19', sequence(), [boolean(false)])],
      says: 'default',
    },
    { name: 'without a value', list: [sequence(oid('2.5.29.19'))], says: 'lacks the value' },
    { name: 'with cA FALSE spelled out', list: [extension('2.5.29.19', sequence(boolean(false)))], says: 'default' },
    { name: 'with a path length but no CA', list: [extension('2.5.29.19', sequence(integer(0)))], says: 'no CA' },
    {
      name: 'with a path length of 128',
      list: [extension('2.5.29.19', sequence(boolean(true), integer(128)))],
      says: 'out of bounds',
    },
    {
      name: 'with a negative path length',
      list: [extension('2.5.29.19', sequence(boolean(true), primitive(2, Buffer.of(0xff))))],
      says: 'out of bounds',
    },
    {
      name: 'with a third constraint',
      list: [extension('2.5.29.19', sequence(boolean(true), integer(0), integer(0)))],
      says: 'too many',
    },
    {
      name: 'whose value has trailing bytes',
      list: [sequence(oid('2.5.29.19'), octetString(Buffer.of(0x30, 0, 0)))],
      says: 'DER',
    },
    {
      name: 'whose value is BER',
      list: [sequence(oid('2.5.29.19'), octetString(Buffer.of(0x30, 0x81, 0)))],
      says: 'DER',
    },
    { name: 'with names that are no list', list: [extension('2.5.29.17', uri)], says: 'no list of names' },
    { name: 'with an empty list of names', list: [extension('2.5.29.17', sequence())], says: 'no list of names' },
    {
      name: 'with a URI beyond ASCII',
      list: [extension('2.5.29.17', sequence(primitive(0x86, Buffer.from('spiffe://ä/x'))))],
      says: 'not ASCII',
    },
    {
      name: 'with key usage without bits',
      list: [extension('2.5.29.15', bitString(Buffer.of(0), 7))],
      says: 'no bits',
    },
    { name: 'with key usage that is no BIT STRING', list: [extension('2.5.29.15', integer(1))], says: 'no BIT STRING' },
    {
      name: 'with purposes that are no list',
      list: [extension('2.5.29.37', oid(OID.serverAuth))],
      says: 'list of purposes',
    },
    { name: 'with an empty list of purposes', list: [extension('2.5.29.37', sequence())], says: 'list of purposes' },
    {
      name: 'with a purpose that is none',
      list: [extension('2.5.29.37', sequence(integer(1)))],
      says: 'list of purposes',
    },
    { name: 'with a key identifier that is none', list: [extension('2.5.29.14', integer(1))], says: 'OCTET STRING' },
    { name: 'with an authority that is none', list: [extension('2.5.29.35', integer(1))], says: 'no SEQUENCE' },
  ])('an extension $name', ({ list, says }) => {
    expect(() => parseCertificate(certificate({ extensions: list }))).toThrow(refusal('certificate_invalid', says))
  })

  test('a list of extensions without any', () => {
    const der = certificate({ extensions: [], more: [constructed(0xa3, [sequence()])] })
    expect(() => parseCertificate(der)).toThrow(refusal('certificate_invalid', 'no list'))
  })
})

test('reads every URI, in order', () => {
  const der = certificate({ extensions: [extension('2.5.29.17', sequence(uri, ascii(0x82, 'a'), uri))] })
  expect(parseCertificate(der)).toMatchObject({ uris: Array(2).fill('spiffe://a.example/x'), dnsNames: ['a'] })
})

test('a URI with a comma is one URI', () => {
  const tricky = primitive(0x86, Buffer.from('spiffe://a.example/x, URI:spiffe://a.example/y'))
  const der = certificate({ extensions: [extension('2.5.29.17', sequence(tricky))] })
  expect(parseCertificate(der).uris).toEqual(['spiffe://a.example/x, URI:spiffe://a.example/y'])
})

test('tells the critical extensions, and those that are not understood', () => {
  const list = [
    extension('2.5.29.19', sequence(), [boolean(true)]),
    extension('1.2.3.4', integer(1), [boolean(true)]),
    extension('1.2.3.5', integer(1)),
    extension(OID.nameConstraints, sequence()),
  ]
  const read = parseCertificate(certificate({ extensions: list }))
  expect([...read.criticalExtensions]).toEqual(['2.5.29.19', '1.2.3.4'])
  // Name constraints bind even where they are, wrongly, not critical.
  expect(read.unknownCriticalExtensions).toEqual(['1.2.3.4', OID.nameConstraints])
})

test('a value that is not understood may be anything', () => {
  const list = [sequence(oid('1.2.3.4'), octetString(Buffer.of(1, 2, 3)))]
  expect(parseCertificate(certificate({ extensions: list })).unknownCriticalExtensions).toEqual([])
})

test('an anchor has a key that can be used', () => {
  const offCurve = Buffer.concat([svidRequest().spki.subarray(0, -1), Buffer.of(0)])
  const der = signCertificate({ ...x509SvidTemplate(svidRequest()), spki: offCurve }, issuer)
  expect(parseCertificate(der).spki).toEqual(offCurve)
  expect(() => parseAnchor(der)).toThrow(refusal('certificate_invalid', 'no valid key'))
  expect(parseAnchor(good)).toEqual(parseCertificate(good))
})
