import { readdirSync } from 'node:fs'
import { expect, test } from 'vitest'
import { parseCertificate } from '../../core/pki/certificate.ts'
import { x509Bundle, type X509Bundle } from '../../core/spiffe/bundle.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { verifyX509Svid } from '../../core/spiffe/x509-svid.ts'
import { refusal } from './refusal.ts'
import { vector } from './vector.ts'

const at = new Date('2026-06-01T00:00:00Z')

/** The bundles of two domains, as a relying party of both would hold them. */
const bundles = new Map<string, X509Bundle>(
  [
    ['a.example', 'authority-a', 'authority-leaves-only', 'authority-expired'] as const,
    ['b.example', 'authority-b'] as const,
  ].map(([name, ...authorities]) => [name, bundleOf(name, ...authorities)]),
)

function bundleOf(name: string, ...authorities: string[]): X509Bundle {
  const certificates = authorities.flatMap((authority) => vector(`x509-svid/${authority}`)).map(parseCertificate)
  return x509Bundle(TrustDomain.parse(name), certificates)
}

function verify(name: string): ReturnType<typeof verifyX509Svid> {
  return verifyX509Svid(vector(`x509-svid/${name}`), (td) => bundles.get(td.toString()), at, { purpose: 'serverAuth' })
}

const accepted = [
  { name: 'good', path: 2 },
  { name: 'good-subject', path: 2 },
  { name: 'good-dns-names', path: 2 },
  { name: 'good-no-extended-key-usage', path: 2 },
  { name: 'good-no-key-usage', path: 2 },
  { name: 'good-unknown-extension', path: 2 },
  { name: 'good-p384', path: 2 },
  { name: 'good-p521', path: 2 },
  { name: 'good-rsa', path: 2 },
  { name: 'good-ed25519', path: 2 },
  { name: 'good-chain', path: 3 },
  { name: 'good-chain-of-three', path: 4 },
  // The root that a peer sends along is neither needed nor in the way.
  { name: 'good-chain-with-root', path: 3 },
]

test.for(accepted)('accepts $name', ({ name, path }) => {
  const { id, chain } = verify(name)
  expect(id.toString()).toBe('spiffe://a.example/ns/shop/sa/cart')
  expect(chain).toHaveLength(path)
})

const refused = [
  // VX-04: exactly one URI
  { name: 'wrong-no-uri', code: 'certificate_invalid', says: 'exactly one URI, not 0' },
  { name: 'wrong-two-ids', code: 'certificate_invalid', says: 'exactly one URI, not 2' },
  { name: 'wrong-id-twice', code: 'certificate_invalid', says: 'exactly one URI, not 2' },
  { name: 'wrong-id-and-url', code: 'certificate_invalid', says: 'exactly one URI, not 2' },
  // VX-05: a SPIFFE ID with a path
  { name: 'wrong-scheme', code: 'certificate_invalid', says: 'does not begin with spiffe://' },
  { name: 'wrong-no-path', code: 'certificate_invalid', says: 'has a path' },
  { name: 'wrong-trailing-slash', code: 'certificate_invalid', says: 'ends with a slash' },
  { name: 'wrong-root-path', code: 'certificate_invalid', says: 'ends with a slash' },
  { name: 'wrong-upper-case', code: 'certificate_invalid', says: 'not a trust domain' },
  { name: 'wrong-percent', code: 'certificate_invalid', says: 'legal in its path' },
  { name: 'wrong-port', code: 'certificate_invalid', says: 'not a trust domain' },
  { name: 'wrong-user', code: 'certificate_invalid', says: 'not a trust domain' },
  { name: 'wrong-query', code: 'certificate_invalid', says: 'legal in its path' },
  { name: 'wrong-dots', code: 'certificate_invalid', says: '. or ..' },
  // VX-06: a leaf
  { name: 'wrong-leaf-is-ca', code: 'certificate_invalid', says: 'no CA' },
  { name: 'wrong-leaf-signs-certificates', code: 'certificate_invalid', says: 'keyCertSign' },
  { name: 'wrong-leaf-signs-crls', code: 'certificate_invalid', says: 'cRLSign' },
  // VX-01: RFC 5280
  { name: 'wrong-expired', code: 'chain_untrusted', says: 'expired at 2026-02-01' },
  { name: 'wrong-not-yet-valid', code: 'chain_untrusted', says: 'not valid before 2100-01-01' },
  { name: 'wrong-unknown-critical-extension', code: 'chain_untrusted', says: '1.3.6.1.4.1.55555.1' },
  { name: 'wrong-signature', code: 'chain_untrusted', says: 'does not lead' },
  { name: 'wrong-digest', code: 'chain_untrusted', says: 'does not lead' },
  { name: 'wrong-authority', code: 'chain_untrusted', says: 'does not lead' },
  { name: 'wrong-self-signed', code: 'chain_untrusted', says: 'does not lead' },
  { name: 'wrong-authority-expired', code: 'chain_untrusted', says: 'expired at 2025-01-01' },
  { name: 'wrong-purpose', code: 'chain_untrusted', says: 'not for serverAuth' },
  { name: 'wrong-chain-incomplete', code: 'chain_untrusted', says: 'does not lead' },
  { name: 'wrong-chain-order', code: 'chain_untrusted', says: 'does not lead' },
  { name: 'wrong-chain-no-ca', code: 'chain_untrusted', says: 'no CA' },
  { name: 'wrong-chain-no-constraints', code: 'chain_untrusted', says: 'no CA' },
  { name: 'wrong-chain-no-cert-sign', code: 'chain_untrusted', says: 'must not sign certificates' },
  { name: 'wrong-chain-expired', code: 'chain_untrusted', says: 'expired at 2026-02-01' },
  { name: 'wrong-chain-path-length', code: 'chain_untrusted', says: 'no path so long' },
  { name: 'wrong-chain-purpose', code: 'chain_untrusted', says: 'not for serverAuth' },
  // VX-08: refused rather than honoured
  { name: 'wrong-chain-name-constraints', code: 'chain_untrusted', says: '2.5.29.30' },
]

test.for(refused)('refuses $name', ({ name, code, says }) => {
  expect(() => verify(name)).toThrow(refusal(code, says))
})

// VX-02: a's authority vouches for an identity of b, and both bundles are held.
test('invariant 5: a bundle never validates an SVID of another trust domain', () => {
  expect(() => verify('wrong-trust-domain')).toThrow(refusal('chain_untrusted', 'does not lead'))
})

test('every file here is spoken of', () => {
  const files = readdirSync(new URL('x509-svid', import.meta.url)).map((file) => file.replace(/\.pem$/, ''))
  const known = [...accepted, ...refused].map(({ name }) => name)
  const others = ['authority-a', 'authority-b', 'authority-leaves-only', 'authority-expired', 'intermediate']
  expect(files.sort()).toEqual([...known, ...others, 'wrong-trust-domain'].sort())
})
