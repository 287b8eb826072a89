import { parseCertificate } from '../../core/pki/certificate.ts'
import { generateKeyPair, type KeyType } from '../../core/pki/key.ts'
import { newSerialNumber } from '../../core/pki/serial-number.ts'
import type { Clock } from '../../core/runtime/clock.ts'
import type { Random } from '../../core/runtime/random.ts'
import { createAuthorityCertificate } from '../../core/spiffe/authority-certificate.ts'
import type { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import type { AuthoritySource } from './authority.ts'

export interface SourceOptions {
  readonly trustDomain: TrustDomain
  readonly keyType: KeyType
  readonly clock: Clock
  readonly random: Random
}

/** Each authority is a trust anchor of its own: one certificate on the wire, one signature to check (design §8). */
export function selfSignedSource({ trustDomain, keyType, clock, random }: SourceOptions): AuthoritySource {
  return {
    async make({ notBefore, notAfter }) {
      const { privateKey } = await generateKeyPair(keyType)
      const serialNumber = newSerialNumber(clock, random)
      const certificate = parseCertificate(
        createAuthorityCertificate({ trustDomain, serialNumber, notBefore, notAfter, privateKey }),
      )
      return { privateKey, certificate, chain: [], anchor: certificate }
    },
  }
}
