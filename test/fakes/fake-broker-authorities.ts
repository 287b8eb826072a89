import type { KeyObject } from 'node:crypto'
import { issuerOf, signCertificate } from '../../core/pki/certificate-builder.ts'
import { parseCertificate, type Certificate } from '../../core/pki/certificate.ts'
import { generateKeyPair, keyTypeOf } from '../../core/pki/key.ts'
import { newSerialNumber } from '../../core/pki/serial-number.ts'
import type { Clock } from '../../core/runtime/clock.ts'
import { systemRandom } from '../../core/runtime/random.ts'
import { createAuthorityCertificate } from '../../core/spiffe/authority-certificate.ts'
import { x509Bundle, type X509Bundle } from '../../core/spiffe/bundle.ts'
import type { SpiffeId } from '../../core/spiffe/spiffe-id.ts'
import type { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { x509SvidTemplate } from '../../core/spiffe/x509-svid.ts'

interface Authority {
  readonly certificate: Certificate
  readonly privateKey: KeyObject
}

const LIFETIME_MS = 14 * 24 * 3_600_000
const BACKDATE_MS = 60_000

/** The authorities of a fake broker; they outlive it, as those of a real one do in its store. */
export class FakeBrokerAuthorities {
  readonly trustDomain: TrustDomain
  readonly #clock: Clock
  #authorities: Authority[] = []
  #active = 0
  #sequence = 0n

  private constructor(trustDomain: TrustDomain, clock: Clock) {
    this.trustDomain = trustDomain
    this.#clock = clock
  }

  /** With one authority, which is active. */
  static async create(trustDomain: TrustDomain, clock: Clock): Promise<FakeBrokerAuthorities> {
    const authorities = new FakeBrokerAuthorities(trustDomain, clock)
    await authorities.prepare()
    return authorities
  }

  get bundle(): X509Bundle {
    const certificates = this.#authorities.map(({ certificate }) => certificate)
    return x509Bundle(this.trustDomain, certificates, { sequence: this.#sequence, refreshHintSeconds: 300 })
  }

  get activeKeyId(): string {
    return this.#activeAuthority().certificate.subjectKeyIdentifier?.toString('hex') ?? ''
  }

  /** Publishes another authority, which signs nothing yet. */
  async prepare(): Promise<void> {
    const { privateKey } = await generateKeyPair('ec-p256')
    const now = this.#clock.now().getTime()
    const der = createAuthorityCertificate({
      trustDomain: this.trustDomain,
      serialNumber: newSerialNumber(this.#clock, systemRandom),
      notBefore: new Date(now - BACKDATE_MS),
      notAfter: new Date(now + LIFETIME_MS),
      privateKey,
    })
    this.#authorities.push({ certificate: parseCertificate(der), privateKey })
    this.#sequence += 1n
  }

  /** The newest authority signs from now on. */
  activate(): void {
    this.#active = this.#authorities.length - 1
  }

  /** Drops all but the active one. */
  retire(): void {
    this.#authorities = [this.#activeAuthority()]
    this.#active = 0
    this.#sequence += 1n
  }

  sign(id: SpiffeId, spki: Uint8Array, ttlMs: number): Certificate {
    const now = this.#clock.now().getTime()
    const { certificate, privateKey } = this.#activeAuthority()
    const template = x509SvidTemplate({
      id,
      spki,
      keyType: keyTypeOf(spki),
      serialNumber: newSerialNumber(this.#clock, systemRandom),
      notBefore: new Date(now - BACKDATE_MS),
      notAfter: new Date(now + ttlMs),
    })
    return parseCertificate(signCertificate(template, issuerOf(certificate, privateKey)))
  }

  #activeAuthority(): Authority {
    const authority = this.#authorities[this.#active]
    if (!authority) throw new Error('there is no active authority')
    return authority
  }
}
