import { createPrivateKey } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseCertificate, type Certificate } from '../../core/pki/certificate.ts'
import { spkiOf } from '../../core/pki/key.ts'
import { pemDecode } from '../../core/pki/pem.ts'
import type { Clock } from '../../core/runtime/clock.ts'
import { bundleFromPem } from '../../core/spiffe/bundle.ts'
import { TrustDomain } from '../../core/spiffe/trust-domain.ts'
import { verifyX509Svid } from '../../core/spiffe/x509-svid.ts'
import { TRUST_DOMAIN } from './test-node.ts'

/** Reads a workload's folder as a program would: the credential bundle, and the bundle of the trust domain. */
export async function readPair(folder: string, clock: Clock): Promise<Certificate> {
  const text = await readFile(join(folder, 'credential-bundle.pem'), 'utf8')
  const roots = await readFile(join(folder, 'ca.crt'), 'utf8')
  const [key, ...chain] = pemDecode(text).map(({ der }) => der)
  if (!key) throw new Error('no key')
  const domain = TrustDomain.parse(TRUST_DOMAIN)
  return checkPair(key, chain, roots === '' ? [] : bundleFromPem(domain, roots).authorities, clock.now())
}

/** Throws unless the pair fits, is valid at `now` and leads to one of `authorities`. */
export function checkPair(
  key: Uint8Array,
  chain: readonly Uint8Array[],
  authorities: readonly Certificate[],
  now: Date,
): Certificate {
  const domain = TrustDomain.parse(TRUST_DOMAIN)
  const { leaf } = verifyX509Svid(chain, () => ({ trustDomain: domain, authorities, sequence: 0n }), now)
  const spki = spkiOf(createPrivateKey({ key: Buffer.from(key), format: 'der', type: 'pkcs8' }))
  if (!spki.equals(leaf.spki)) throw new Error('the key is not of the certificate')
  return parseCertificate(leaf.der)
}
