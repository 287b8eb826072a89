import { createPrivateKey, type KeyObject } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { issuerOf } from '../../core/pki/certificate-builder.ts'
import { type Certificate, parseCertificate } from '../../core/pki/certificate.ts'
import { verifyChain } from '../../core/pki/chain.ts'
import { generateKeyPair, spkiOf } from '../../core/pki/key.ts'
import { pemDecode } from '../../core/pki/pem.ts'
import { newSerialNumber } from '../../core/pki/serial-number.ts'
import { IdentityError } from '../../core/runtime/errors.ts'
import { createIntermediateCertificate } from '../../core/spiffe/authority-certificate.ts'
import type { AuthoritySource, NewAuthority } from './authority.ts'
import type { SourceOptions } from './self-signed-source.ts'

export interface UpstreamFiles {
  /** PEM: the certificate that signs our authorities first, then those above it up to the root. */
  readonly certificateFile: string
  /** PEM, PKCS#8: the key of the first. */
  readonly keyFile: string
}

/**
 * A root on disk signs our authorities as its intermediates: the root alone is in the bundle (design §8). The files are
 * read for each authority, and the key is not kept.
 */
export function upstreamDiskSource(files: UpstreamFiles, options: SourceOptions): AuthoritySource {
  return {
    async make({ notBefore, notAfter }): Promise<NewAuthority> {
      const { certificates, key } = await readUpstream(files)
      const [signer] = certificates
      const anchor = certificates.at(-1)
      if (!signer || !anchor) throw unusable('it holds no certificate')
      check(certificates, signer, anchor, options.clock.now())
      const { privateKey } = await generateKeyPair(options.keyType)
      const end = Math.min(notAfter.getTime(), ...certificates.map((certificate) => certificate.notAfter.getTime()))
      const begin = Math.max(notBefore.getTime(), ...certificates.map((certificate) => certificate.notBefore.getTime()))
      const certificate = parseCertificate(
        createIntermediateCertificate({
          trustDomain: options.trustDomain,
          serialNumber: newSerialNumber(options.clock, options.random),
          notBefore: new Date(begin),
          notAfter: new Date(end),
          spki: spkiOf(privateKey),
          issuer: issuer(signer, key),
        }),
      )
      return { privateKey, certificate, chain: [certificate, ...certificates.slice(0, -1)], anchor }
    },
  }
}

async function readUpstream({ certificateFile, keyFile }: UpstreamFiles) {
  try {
    const certificates = pemDecode(await readFile(certificateFile, 'utf8')).map(({ der }) => parseCertificate(der))
    return { certificates, key: createPrivateKey(await readFile(keyFile, 'utf8')) }
  } catch (error) {
    throw unusable('its files cannot be read as PEM', error)
  }
}

function check(certificates: readonly Certificate[], signer: Certificate, anchor: Certificate, now: Date): void {
  for (const { basicConstraints, keyUsage } of certificates) {
    if (!basicConstraints?.isCa || keyUsage?.has('keyCertSign') === false) throw unusable('it is no CA')
  }
  if (signer.basicConstraints?.pathLength === 0) throw unusable('its path length allows no authority below it')
  if (certificates.some(({ notAfter }) => notAfter <= now)) throw unusable('it has expired')
  if (certificates.length > 1) {
    try {
      verifyChain(certificates.slice(0, -1), [anchor], now)
    } catch (error) {
      throw unusable('its certificates do not follow each other up to the root', error)
    }
  }
}

function issuer(signer: Certificate, key: KeyObject) {
  try {
    return issuerOf(signer, key)
  } catch (error) {
    throw unusable('its key is not that of its certificate', error)
  }
}

function unusable(why: string, cause?: unknown): IdentityError {
  return new IdentityError('authority_unavailable', `the upstream authority on disk cannot sign: ${why}`, { cause })
}
