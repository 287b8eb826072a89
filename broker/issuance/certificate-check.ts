import type { CertificateTemplate } from '../../core/pki/certificate-template.ts'
import { parseCertificate } from '../../core/pki/certificate.ts'
import { serialToHex } from '../../core/pki/serial-number.ts'
import { x509SvidViolations } from '../../core/spiffe/x509-svid-rules.ts'

/**
 * Reads back what was signed: it must keep every rule of the X509-SVID standard, and say what was intended.
 *
 * @throws {TypeError} if it does not: a bug, and the certificate must not leave the process.
 */
export function checkCertificate(der: Uint8Array, template: CertificateTemplate): void {
  const certificate = parseCertificate(der)
  const [violation] = x509SvidViolations(certificate)
  if (violation) throw new TypeError(`the certificate is no X.509-SVID: ${violation}`)
  const { uris, dnsNames, spki, serialNumber, notBefore, notAfter } = certificate
  const isAsIntended =
    uris[0] === template.uri &&
    dnsNames.length === template.dnsNames.length &&
    dnsNames.every((name, index) => name === template.dnsNames[index]) &&
    spki.equals(template.spki) &&
    serialNumber === serialToHex(template.serialNumber) &&
    notBefore.getTime() === template.notBefore.getTime() &&
    notAfter.getTime() === template.notAfter.getTime()
  if (!isAsIntended) throw new TypeError('the certificate does not say what was intended')
}
