import { generateKeyPairSync } from 'node:crypto'
import { selfSign } from '../../core/pki/certificate-builder.ts'
import { pkcs8Of, spkiOf } from '../../core/pki/key.ts'
import { newSerialNumber } from '../../core/pki/serial-number.ts'
import { systemRandom } from '../../core/runtime/random.ts'
import { systemClock } from '../../core/runtime/system-clock.ts'

const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
const DAY_MS = 86_400_000

/** A certificate for `fake-kubernetes` that is its own CA. */
export function newServerCertificate(): { key: string; certificate: string } {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const now = systemClock.now().getTime()
  const der = selfSign(
    {
      serialNumber: newSerialNumber(systemClock, systemRandom),
      notBefore: new Date(now - DAY_MS),
      notAfter: new Date(now + DAY_MS),
      subject: { commonName: 'fake-kubernetes' },
      spki: spkiOf(privateKey),
      dnsNames: ['fake-kubernetes'],
      basicConstraints: { isCa: true },
      keyUsage: ['digitalSignature', 'keyCertSign'],
      extendedKeyUsage: [SERVER_AUTH],
    },
    privateKey,
  )
  return { key: pem('PRIVATE KEY', pkcs8Of(privateKey)), certificate: pem('CERTIFICATE', der) }
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}
