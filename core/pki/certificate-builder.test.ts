import { expect, test } from 'vitest'
import { anAuthority, svidRequest } from '../../test/vectors/issued.ts'
import { x509SvidTemplate } from '../spiffe/x509-svid.ts'
import { issuerOf, signCertificate } from './certificate-builder.ts'
import { parseCertificate } from './certificate.ts'
import { publicKeySha256 } from './key.ts'

const authority = anAuthority()
const issue = (subject: { organization?: string; commonName?: string; serialNumber?: string }): Buffer =>
  signCertificate({ ...x509SvidTemplate(svidRequest()), subject }, authority.issuer)

test('an issuer is made of a certificate and its own key', () => {
  expect(() => issuerOf(authority.certificate, anAuthority().privateKey)).toThrow(TypeError)
})

test('a certificate names its issuer as the issuer names itself', () => {
  const leaf = parseCertificate(issue({}))
  expect(leaf.issuer).toEqual(authority.certificate.subject)
  expect(leaf.authorityKeyIdentifier).toEqual(authority.certificate.subjectKeyIdentifier)
})

test('a key identifier is the beginning of what the ledger knows the key by', () => {
  const { subjectKeyIdentifier, spki } = parseCertificate(issue({}))
  expect(publicKeySha256(spki).slice(0, 40)).toBe(subjectKeyIdentifier?.toString('hex'))
})

test.for([{ commonName: '' }, { commonName: 'a'.repeat(65) }, { serialNumber: 'ü' }])(
  'refuses the name %j',
  (subject) => {
    expect(() => issue(subject)).toThrow(TypeError)
  },
)

test('counts characters, not bytes', () => {
  expect(parseCertificate(issue({ commonName: '🙂'.repeat(64) })).subject.length).toBeGreaterThan(256)
})
