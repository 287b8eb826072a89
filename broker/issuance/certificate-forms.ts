import type { Buffer } from 'node:buffer'
import { encodeTbs, type Issuer, signTbs } from '../../core/pki/certificate-builder.ts'
import { CertificateForm } from '../../core/pki/certificate-form.ts'
import type { CertificateTemplate } from '../../core/pki/certificate-template.ts'
import { checkCertificate } from './certificate-check.ts'

/** Identities that are remembered of an issuer; each takes about 1 KiB. */
const MAX_KNOWN = 10_000

/**
 * Signs certificates, and reads back what it signed.
 *
 * Reading takes a third of what an issuance allocates, and encoding is not free either. So a certificate that was read
 * back and found good becomes the form of its identity, issuer and kind of key: later ones are this one with another
 * serial number, validity and key, and there is nothing else in them that could be wrong.
 */
export class CertificateForms {
  /** They go with their issuer. */
  readonly #known = new WeakMap<Issuer, Map<string, CertificateForm>>()

  /** @throws {TypeError} if the certificate is not what was intended: a bug, and it does not leave the process. */
  sign(template: CertificateTemplate, issuer: Issuer): Buffer {
    const shape = shapeOf(template)
    const filled = this.#known.get(issuer)?.get(shape)?.fillIn(template)
    if (filled) return signTbs(filled, issuer)

    const tbs = encodeTbs(template, issuer)
    const der = signTbs(tbs, issuer)
    checkCertificate(der, template)
    const form = CertificateForm.of(tbs, template)
    if (form) this.#learn(issuer, shape, form)
    return der
  }

  #learn(issuer: Issuer, shape: string, form: CertificateForm): void {
    const known = this.#known.get(issuer) ?? new Map<string, CertificateForm>()
    this.#known.set(issuer, known)
    if (known.size >= MAX_KNOWN) {
      const [oldest] = known.keys()
      if (oldest !== undefined) known.delete(oldest)
    }
    known.set(shape, form)
  }
}

/** All that a certificate says but for what a form leaves room for. An ID, a host name and an OID hold no space or comma. */
function shapeOf(template: CertificateTemplate): string {
  const { spki, uri, dnsNames, subject, basicConstraints, keyUsage, extendedKeyUsage } = template
  const names = `${uri} ${dnsNames.join()} ${JSON.stringify(subject)}`
  const { isCa, pathLength } = basicConstraints
  return `${spki.length} ${names} ${isCa} ${pathLength} ${keyUsage.join()} ${extendedKeyUsage.join()}`
}
