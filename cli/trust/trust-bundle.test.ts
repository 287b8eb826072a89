import { expect, test } from 'vitest'
import { systemClock } from '../../core/runtime/system-clock.ts'
import { encodeBundleDocument } from '../../core/spiffe/bundle-document.ts'
import { bundleToPem } from '../../core/spiffe/bundle.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { FakeBrokerAuthorities } from '../../test/fakes/fake-broker-authorities.ts'
import { readTrustBundle } from './trust-bundle.ts'

const trustDomain = TrustDomain.parse('prod.example')
const { bundle } = await FakeBrokerAuthorities.create(trustDomain, systemClock)
const { bundle: other } = await FakeBrokerAuthorities.create(TrustDomain.parse('other.example'), systemClock)
const document = encodeBundleDocument({ x509: { ...bundle, sequence: 5n }, jwtAuthorities: [] })

test.for([
  ['PEM', bundleToPem(bundle)],
  ['a SPIFFE document', document],
])('%s says by its authorities of which trust domain it is', ([, text = '']) => {
  const read = readTrustBundle(text, undefined)
  expect(read.trustDomain.toString()).toBe('prod.example')
  expect(read.authorities.map(({ der }) => der)).toEqual(bundle.authorities.map(({ der }) => der))
})

test('what the operator names counts', () => {
  expect(readTrustBundle(document, TrustDomain.parse('named.example'))).toMatchObject({ sequence: 5n })
})

test('authorities of two trust domains are of none', () => {
  expect(() => readTrustBundle(bundleToPem(bundle) + bundleToPem(other), undefined)).toThrow(/give --trust-domain/)
})

test.for(['', 'nonsense', '{}', '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n'])(
  '%j is no bundle',
  (text) => {
    expect(() => readTrustBundle(text, undefined)).toThrow(expect.objectContaining({ name: 'IdentityError' }))
  },
)
