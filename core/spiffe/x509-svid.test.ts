import { execFileSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { A_EXAMPLE, anAuthority, aSerialNumber, AT, CART, svidRequest } from '../../test/vectors/issued.ts'
import { refusal } from '../../test/vectors/refusal.ts'
import { issuerOf, signCertificate } from '../pki/certificate-builder.ts'
import { parseCertificate } from '../pki/certificate.ts'
import { generateKeyPair, KEY_TYPES, type KeyType, spkiOf } from '../pki/key.ts'
import { pemEncode } from '../pki/pem.ts'
import { createAuthorityCertificate, createIntermediateCertificate } from './authority-certificate.ts'
import { x509Bundle, type X509Bundle } from './bundle.ts'
import { SpiffeId } from './spiffe-id.ts'
import { TrustDomain } from './trust-domain.ts'
import { authorityViolations, x509SvidViolations } from './x509-svid-rules.ts'
import { verifyX509Svid, x509SvidTemplate, type X509SvidRequest } from './x509-svid.ts'

const authority = anAuthority()
const bundle = x509Bundle(A_EXAMPLE, [authority.certificate])
const bundles = (): X509Bundle => bundle

function issue(changes: Partial<X509SvidRequest> = {}): Buffer {
  return signCertificate(x509SvidTemplate(svidRequest(changes)), authority.issuer)
}

describe('an SVID that is issued', () => {
  test('breaks no rule, and is accepted', () => {
    const leaf = parseCertificate(issue())
    expect(x509SvidViolations(leaf)).toEqual([])
    const verified = verifyX509Svid([leaf.der], bundles, AT, { purpose: 'clientAuth' })
    expect(verified.id.equals(CART)).toBe(true)
    expect(verified.chain).toEqual([leaf, authority.certificate])
  })

  // IX-04
  test('has a critical subjectAltName exactly when its subject is empty', () => {
    const criticalOf = (der: Buffer): boolean => parseCertificate(der).criticalExtensions.has('2.5.29.17')
    expect(criticalOf(issue())).toBe(true)
    expect(criticalOf(issue({ commonName: 'cart' }))).toBe(false)
    expect(new X509Certificate(issue({ commonName: 'cart' })).subject).toBe('CN=cart')
  })

  // IX-05: the value is an empty SEQUENCE
  test('says that it is no CA by an empty basicConstraints', () => {
    expect(issue().includes(Buffer.from('0603551d130101ff04023000', 'hex'))).toBe(true)
  })

  // IX-07
  test.for([
    { keyType: 'ec-p256', usages: ['digitalSignature'] },
    { keyType: 'rsa-2048', usages: ['digitalSignature', 'keyEncipherment'] },
  ] as const)('for $keyType has the usages $usages', ({ keyType, usages }) => {
    expect([...(parseCertificate(issue({ keyType })).keyUsage ?? [])]).toEqual(usages)
  })

  // IX-01, IX-02
  test('has one URI, whatever DNS names it has', () => {
    expect(parseCertificate(issue({ dnsNames: ['a', 'b-1.c.svc'] }))).toMatchObject({
      uris: [CART.toString()],
      dnsNames: ['a', 'b-1.c.svc'],
    })
  })

  // ID-14
  test('may have an ID of 2048 bytes', () => {
    const id = SpiffeId.of(A_EXAMPLE, 'a'.repeat(2048 - 'spiffe://a.example/'.length))
    expect(verifyX509Svid([issue({ id })], bundles, AT).id.equals(id)).toBe(true)
  })

  // IX-03
  test('refuses an ID without a path', () => {
    const id = SpiffeId.of(A_EXAMPLE)
    expect(() => issue({ id })).toThrow(refusal('spiffe_id_invalid', 'path'))
  })

  test.for([
    '',
    'a..b',
    '.a',
    'a.',
    '-a',
    'a-',
    'a_b',
    'ü.example',
    'a b',
    '*',
    'a'.repeat(64),
    `${'a.'.repeat(126)}aa`,
  ])('refuses the DNS name %j', (name) =>
    expect(() => issue({ dnsNames: [name] })).toThrow(refusal('certificate_invalid', 'DNS name')),
  )

  test.for(['', 'a'.repeat(65)])('refuses the common name %j', (commonName) => {
    expect(() => issue({ commonName })).toThrow(refusal('certificate_invalid', 'common name'))
  })
})

describe('verification', () => {
  // VX-03
  test('needs a bundle', () => {
    expect(() => verifyX509Svid([issue()], () => undefined, AT)).toThrow(
      refusal('chain_untrusted', 'no bundle is held'),
    )
  })

  test('needs a certificate', () => {
    expect(() => verifyX509Svid([], bundles, AT)).toThrow(refusal('chain_untrusted', 'no certificate'))
  })

  test('invariant 5: asks for the bundle of the trust domain in the leaf, and for no other', () => {
    const asked: string[] = []
    const other = issue({ id: SpiffeId.parse('spiffe://b.example/x') })
    const holder = (td: TrustDomain): X509Bundle | undefined => {
      asked.push(td.toString())
      return td.equals(A_EXAMPLE) ? bundle : undefined
    }
    expect(() => verifyX509Svid([other], holder, AT)).toThrow(refusal('chain_untrusted', 'b.example'))
    expect(asked).toEqual(['b.example'])
  })

  test('invariant 5: does not use a bundle of another trust domain, even if it is handed one', () => {
    const other = issue({ id: SpiffeId.parse('spiffe://b.example/x') })
    expect(() => verifyX509Svid([other], bundles, AT)).toThrow(refusal('chain_untrusted', 'no bundle is held'))
  })

  // VB-03
  test('refuses all once the bundle is empty', () => {
    const empty = (): X509Bundle => x509Bundle(A_EXAMPLE, [])
    expect(() => verifyX509Svid([issue()], empty, AT)).toThrow(refusal('chain_untrusted', 'does not lead'))
  })

  // IX-13: not even where it is its own anchor
  test('refuses an authority as a peer', () => {
    expect(() => verifyX509Svid([authority.certificate.der], bundles, AT)).toThrow(refusal('certificate_invalid'))
  })

  test('refuses more certificates than a path has', () => {
    const chain = Array.from({ length: 9 }, () => issue())
    expect(() => verifyX509Svid(chain, bundles, AT)).toThrow(refusal('chain_untrusted', '9 certificates'))
  })
})

describe('authorities', () => {
  test('are SVIDs of their trust domain', () => {
    expect(authorityViolations(authority.certificate)).toEqual([])
    expect(authority.certificate.uris).toEqual(['spiffe://a.example'])
    expect(authority.certificate.extendedKeyUsage).toBeUndefined()
  })

  test('of one trust domain have different names', () => {
    expect(anAuthority().certificate.subject).not.toEqual(authority.certificate.subject)
  })

  test('may be of a trust domain that is longer than a name may be', () => {
    const trustDomain = TrustDomain.parse('a'.repeat(255))
    expect(authorityViolations(anAuthority(trustDomain).certificate)).toEqual([])
  })

  test('a leaf breaks their rules', () => {
    expect(authorityViolations(parseCertificate(issue()))).toEqual([
      'an authority is a CA (X509-SVID §4.1)',
      'an authority has keyCertSign (X509-SVID §4.3)',
      'an authority has no key usage but keyCertSign and cRLSign (X509-SVID §4.3)',
      'an authority has no extKeyUsage',
      'the subject is not empty (RFC 5280 §4.1.2.6)',
      'the URI is a SPIFFE ID without a path (X509-SVID §3.2)',
    ])
  })

  test('break the rules of a leaf', () => {
    expect(x509SvidViolations(authority.certificate)).toEqual([
      'the SPIFFE ID of a leaf has a path (X509-SVID §3.1)',
      'a leaf is no CA (X509-SVID §5.2)',
      'a leaf must not have keyCertSign (X509-SVID §5.2)',
      'a leaf must not have cRLSign (X509-SVID §5.2)',
      'a leaf has digitalSignature (X509-SVID §4.3)',
      'extKeyUsage has serverAuth and clientAuth (X509-SVID §4.4)',
      'authorityKeyIdentifier is there (RFC 5280 §4.2.1.1)',
    ])
  })
})

describe('OpenSSL and Node agree about', () => {
  let folder = ''
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'x509-svid-'))
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  const file = (name: string, ...certificates: Uint8Array[]): string => {
    const path = join(folder, name)
    writeFileSync(path, certificates.map((der) => pemEncode('CERTIFICATE', der)).join(''))
    return path
  }

  test.for(KEY_TYPES)('a chain of %s', async (keyType: KeyType) => {
    const times = { notBefore: new Date(AT.getTime() - 60_000), notAfter: new Date(AT.getTime() + 60_000) }
    const [rootKey, middleKey, leafKey] = await Promise.all([keyType, keyType, keyType].map(generateKeyPair))
    if (!rootKey || !middleKey || !leafKey) throw new TypeError('a key is missing')
    const named = { trustDomain: A_EXAMPLE, ...times }
    const { privateKey } = rootKey
    const root = parseCertificate(createAuthorityCertificate({ ...named, serialNumber: aSerialNumber(), privateKey }))
    const middle = parseCertificate(
      createIntermediateCertificate({
        ...named,
        serialNumber: aSerialNumber(),
        spki: spkiOf(middleKey.publicKey),
        issuer: issuerOf(root, rootKey.privateKey),
      }),
    )
    const request = svidRequest({ ...times, spki: spkiOf(leafKey.publicKey), keyType, dnsNames: ['cart.shop.svc'] })
    const leaf = signCertificate(x509SvidTemplate(request), issuerOf(middle, middleKey.privateKey))

    expect([root, middle].flatMap(authorityViolations)).toEqual([])
    const held = x509Bundle(A_EXAMPLE, [root])
    expect(verifyX509Svid([leaf, middle.der], () => held, AT, { purpose: 'serverAuth' }).chain).toHaveLength(3)

    const trusted = ['-CAfile', file('root.pem', root.der), '-untrusted', file('middle.pem', middle.der)]
    const at = ['-attime', String(AT.getTime() / 1000), '-x509_strict', '-purpose', 'sslserver']
    const verdict = execFileSync('openssl', ['verify', ...at, ...trusted, file('leaf.pem', leaf)], { encoding: 'utf8' })
    expect(verdict).toContain('leaf.pem: OK')

    const seen = new X509Certificate(leaf)
    expect(seen.subjectAltName).toBe(`URI:${CART}, DNS:cart.shop.svc`)
    expect(seen.ca).toBe(false)
    expect(seen.serialNumber.toLowerCase()).toBe(parseCertificate(leaf).serialNumber)
    expect([seen.validFromDate, seen.validToDate]).toEqual([times.notBefore, times.notAfter])
    expect(seen.publicKey.export({ format: 'der', type: 'spki' })).toEqual(request.spki)
    expect(seen.checkIssued(new X509Certificate(middle.der))).toBe(true)
  })
})
