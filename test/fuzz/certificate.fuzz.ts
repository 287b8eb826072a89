import { X509Certificate } from 'node:crypto'
import { signCertificate } from '../../core/pki/certificate-builder.ts'
import { type Certificate, parseCertificate } from '../../core/pki/certificate.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { x509Bundle } from '../../core/spiffe/bundle.ts'
import { verifyX509Svid, x509SvidTemplate } from '../../core/spiffe/x509-svid.ts'
import { A_EXAMPLE, anAuthority, AT, svidRequest } from '../vectors/issued.ts'
import { vector } from '../vectors/vector.ts'
import { allNodes, bendDer, readTree, writeTree } from './der-tree.ts'
import { defineTarget, property } from './harness.ts'

const authority = anAuthority()
const bundle = x509Bundle(A_EXAMPLE, [authority.certificate])
const template = x509SvidTemplate(svidRequest({ dnsNames: ['cart.shop.svc'] }))
const svid = signCertificate(template, authority.issuer)
const tricky = signCertificate({ ...template, uri: 'spiffe://a.example/x, URI:spiffe://a.example/y' }, authority.issuer)
const CORPUS = [
  svid,
  tricky,
  ...['x509-svid/good-rsa', 'x509-svid/wrong-two-ids', 'x509-svid/intermediate'].flatMap(vector),
]
const URI = 0x86

/** What is read is what the bytes say and what OpenSSL reads, and only what the authority signed is believed. */
export const target = defineTarget<Uint8Array>({
  name: 'certificate',
  generate: (rng) => bendDer(rng, rng.pick(CORPUS)),
  run(der) {
    const certificate = parseCertificate(der)
    check(der, certificate, certificate.uris)
    if (isBelieved(der)) property(svid.equals(der), 'a certificate that the authority did not sign was believed')
  },
  plantedFault: {
    description: 'URIs are taken from the text that Node shows of subjectAltName',
    run(der) {
      const certificate = parseCertificate(der)
      const text = openSsl(der)?.subjectAltName?.split(', ') ?? []
      const uris = text.filter((name) => name.startsWith('URI:')).map((name) => name.slice('URI:'.length))
      check(der, certificate, uris)
    },
  },
})

function check(der: Uint8Array, certificate: Certificate, uris: readonly string[]): void {
  property(certificate.der.equals(der), 'the certificate is not what was read')
  const tree = readTree(der)
  property(tree !== undefined && writeTree(tree).equals(der), 'what is not canonical was accepted')

  // A name can stand only where names are: count the bytes of each in the tree.
  const inTree = allNodes(tree).flatMap(({ tag, body }) => (tag === URI && body instanceof Uint8Array ? [body] : []))
  const texts = new Set(inTree.map((body) => Buffer.from(body).toString('latin1')))
  property(
    uris.every((uri) => texts.has(uri)),
    'a URI was read that is not there',
  )

  const theirs = openSsl(der)
  if (!theirs) return
  property(theirs.serialNumber.toLowerCase() === certificate.serialNumber, 'OpenSSL reads another serial number')
  property(theirs.validFromDate.getTime() === certificate.notBefore.getTime(), 'OpenSSL reads another notBefore')
  property(theirs.validToDate.getTime() === certificate.notAfter.getTime(), 'OpenSSL reads another notAfter')
  if (theirs.ca) property(certificate.basicConstraints?.isCa === true, 'OpenSSL reads a CA')
}

/** What OpenSSL makes of it; `undefined` if nothing. */
function openSsl(der: Uint8Array): X509Certificate | undefined {
  try {
    return new X509Certificate(der)
  } catch {
    return undefined
  }
}

function isBelieved(der: Uint8Array): boolean {
  try {
    verifyX509Svid([der], () => bundle, AT)
    return true
  } catch (error) {
    if (!(error instanceof IdentityError)) throw error
    return false
  }
}
