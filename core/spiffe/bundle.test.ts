import { describe, expect, test } from 'vitest'
import { A_EXAMPLE, anAuthority } from '../../test/vectors/issued.ts'
import { refusal } from '../../test/vectors/refusal.ts'
import { pemEncode } from '../pki/pem.ts'
import {
  bundleFromDer,
  bundleFromPem,
  bundlesTrustTheSame,
  bundleToDer,
  bundleToPem,
  splitDerCertificates,
  x509Bundle,
} from './bundle.ts'
import { TrustDomain } from './trust-domain.ts'

const one = anAuthority().certificate
const two = anAuthority().certificate
const bundle = x509Bundle(A_EXAMPLE, [one, two])

test('comes back from PEM and DER as it went', () => {
  expect(bundlesTrustTheSame(bundleFromPem(A_EXAMPLE, bundleToPem(bundle)), bundle)).toBe(true)
  expect(bundlesTrustTheSame(bundleFromDer(A_EXAMPLE, bundleToDer(bundle)), bundle)).toBe(true)
  expect(bundleFromDer(A_EXAMPLE, bundleToDer(bundle)).authorities).toEqual([one, two])
})

test('holds an authority once', () => expect(x509Bundle(A_EXAMPLE, [one, two, one]).authorities).toEqual([one, two]))

// VB-03
test('may be empty', () => {
  expect(bundleFromDer(A_EXAMPLE, new Uint8Array()).authorities).toEqual([])
  expect(bundleToPem(x509Bundle(A_EXAMPLE, []))).toBe('')
})

test.for([
  { name: 'another order', other: x509Bundle(A_EXAMPLE, [two, one], { sequence: 7n }), same: true },
  { name: 'one authority less', other: x509Bundle(A_EXAMPLE, [one]), same: false },
  { name: 'another trust domain', other: x509Bundle(TrustDomain.parse('b.example'), [one, two]), same: false },
])('of $name trusts the same: $same', ({ other, same }) => {
  expect(bundlesTrustTheSame(bundle, other)).toBe(same)
})

test('refuses PEM that holds more than certificates', () => {
  const pem = bundleToPem(bundle) + pemEncode('PRIVATE KEY', Uint8Array.of(1, 2, 3))
  expect(() => bundleFromPem(A_EXAMPLE, pem)).toThrow(refusal('bundle_invalid', 'PRIVATE KEY'))
})

describe('splitting', () => {
  const der = bundleToDer(bundle)

  test('gives each certificate', () => expect(splitDerCertificates(der).map(Buffer.from)).toEqual([one.der, two.der]))

  test.for([
    { name: 'cut off', bytes: der.subarray(0, -1) },
    { name: 'with a header alone', bytes: Uint8Array.of(0x30) },
    { name: 'with something else at the end', bytes: Buffer.concat([der, Uint8Array.of(0)]) },
    { name: 'of indefinite length', bytes: Uint8Array.of(0x30, 0x80, 0, 0) },
    { name: 'of a length beyond any', bytes: Uint8Array.of(0x30, 0x84, 0xff, 0xff, 0xff, 0xff) },
    { name: 'of too many', bytes: Buffer.alloc(2 * 1001, Buffer.of(0x30, 0)) },
  ])('refuses a list $name', ({ bytes }) => {
    expect(() => splitDerCertificates(bytes)).toThrow(refusal('certificate_invalid', 'list of certificates'))
  })
})
